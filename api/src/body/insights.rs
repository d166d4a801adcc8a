//! The answer of `/insights`.

use everfold_engine::id::Position;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::query::{QueryColumn, QueryReads};
use crate::schema;

/// What the history of runs shows.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct InsightsAnswer {
    /// The position that all insights were read as of.
    #[schema(value_type = u64)]
    pub(crate) position: Position,
    /// The moment that `now()` was.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) now: Timestamp,
    /// Of how many runs they are: the newest that fit.
    pub(crate) runs: u64,
    /// How many of those have ended.
    pub(crate) ended: u64,
    /// The insights.
    pub(crate) items: Vec<InsightAnswer>,
}

/// An insight.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Insight)]
pub(crate) struct InsightAnswer {
    /// Its name: `gates`, `reworks`, `flaky`, `time`, `cost`.
    pub(crate) name: String,
    /// What it is called.
    pub(crate) title: String,
    /// What its rows are.
    pub(crate) about: String,
    /// What it means that there are no rows; null where there are some.
    pub(crate) none: Option<String>,
    /// The query behind it: `POST /query` answers it with the same rows.
    pub(crate) sql: String,
    /// Its columns.
    pub(crate) columns: Vec<QueryColumn>,
    /// Its rows: a value for each column.
    #[schema(value_type = Vec<Vec<Value>>)]
    pub(crate) rows: Vec<Vec<Value>>,
    /// What cut it off: `rows`, or `bytes`; null: these are all rows.
    pub(crate) truncated: Option<String>,
    /// How the tables were read.
    pub(crate) reads: Vec<QueryReads>,
}
