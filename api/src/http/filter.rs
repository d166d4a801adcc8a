//! `filter=` of lists: an expression over the fields of their rows.

use everfold_engine::id::Position;
use everfold_engine::time::Timestamp;
use everfold_projections::{FilterError, RowFields, RowFilter};
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
