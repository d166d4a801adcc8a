//! `filter=` of lists: an expression over the fields of their rows.

use everfold_engine::id::Position;
use everfold_engine::time::Timestamp;
use everfold_projections::{FilterError, LookReport, RowFields, RowFilter};
use serde::Serialize;
use serde_json::json;

use super::app::App;
use super::values::time;
use crate::body::filter::FilterAnswer;
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

/// Part of a list that an expression may be asked of, and that comes in the order of any field.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SortedPage<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next part begins; null at the end.
    pub(crate) next_cursor: Option<String>,
    /// How rows were looked at, where `filter` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<FilterAnswer>,
    /// How many rows were sorted, where `sort` is a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sort: Option<SortAnswer>,
}

/// How many rows were sorted by a field.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SortAnswer)]
pub(crate) struct SortAnswer {
    /// Rows that were looked at.
    looked_at: u64,
    /// Whether these were all that may fit. If not, the list holds the newest of them only, all parts together.
    complete: bool,
}

impl From<LookReport> for SortAnswer {
    fn from(LookReport { looked_at, complete }: LookReport) -> Self {
        Self { looked_at, complete }
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
