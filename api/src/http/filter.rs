//! `filter=` of lists: an expression over the fields of their rows.

use everfold_engine::id::Position;
use everfold_engine::time::Timestamp;
use everfold_projections::{FilterError, RowFields, RowFilter, ScanReport};
use serde::Serialize;
use serde_json::json;

use super::app::App;
use super::values::time;
use crate::fault::{Code, Fault};

/// Part of a list that an expression may be asked of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FilteredPage<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next part begins; null at the end.
    pub(crate) next_cursor: Option<String>,
    /// How rows were looked at, where `filter` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<FilterAnswer>,
}

/// How an expression found the rows of an answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FilterAnswer)]
pub(crate) struct FilterAnswer {
    /// The fields that an index answered for; of the rows that it left each was looked at.
    by_index: Vec<String>,
    /// Rows that were looked at for this part of the list.
    looked_at: u64,
    /// Looking ended at its bound: `next_cursor` goes on exactly there.
    more: bool,
    /// Rows that are left out because the expression is neither true nor false of them. Null: there are none.
    undecided: Option<UndecidedRows>,
}

/// Rows of which an expression is neither true nor false.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = UndecidedRows)]
pub(crate) struct UndecidedRows {
    /// How many.
    rows: u64,
    /// Why, of the first.
    why: String,
}

impl From<ScanReport> for FilterAnswer {
    fn from(report: ScanReport) -> Self {
        let ScanReport { by_index, looked_at, more, undecided, undecided_why } = report;
        let undecided = undecided_why.map(|why| UndecidedRows { rows: undecided, why });
        Self { by_index, looked_at, more, undecided }
    }
}

/// Compiles the expression of a list's parameter `filter`.
pub(super) fn compiled(source: &str, fields: &RowFields, now: Timestamp) -> Result<RowFilter, Fault> {
    RowFilter::compile(source, fields, now).map_err(fault)
}

fn fault(error: FilterError) -> Fault {
    let FilterError { message, line, column, hint } = &error;
    let place = json!({ "line": line, "column": column, "message": message });
    Fault::new(Code::BadFilter, format!("filter: {error}")).errors(vec![place]).hinted(hint.clone())
}

/// The moment that an expression calls `now`: that of the request, or of the past that is asked for by `at`, which is
/// the position `as_of`.
pub(super) async fn moment_of(
    app: &App,
    at: Option<&str>,
    as_of: Option<Position>,
) -> Result<Timestamp, Fault> {
    match (at, as_of) {
        (Some(text), _) if text.parse::<u64>().is_err() => time("at", text),
        (_, Some(position)) => Ok(app.committed_at(position).await?.unwrap_or(Timestamp(0))),
        _present => Ok(everfold_engine::clock::now()),
    }
}
