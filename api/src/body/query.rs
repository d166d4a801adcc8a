//! Bodies of `/query`.

use everfold_engine::id::Position;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::whole_number::whole_if;
use super::written_moment::moment_if;
use crate::schema;

/// A query over the tables.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"sql": "select status, count(*) as runs from runs group by status order by runs desc", "limit": 100}))]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// One SELECT of SQLite.
    #[schema(min_length = 1)]
    pub(crate) sql: String,
    /// A time or a position: what was there then.
    #[schema(value_type = Option<schema::MomentOfBodySchema>)]
    #[serde(default, deserialize_with = "moment_if", skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// Rows of the answer at most, 1,000 unless given.
    #[schema(minimum = 1, maximum = 100_000)]
    #[serde(default, deserialize_with = "whole_if", skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// What a query found.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct QueryAnswer {
    /// Its columns.
    pub(crate) columns: Vec<QueryColumn>,
    /// Its rows: a value for each column.
    #[schema(value_type = Vec<Vec<Value>>)]
    pub(crate) rows: Vec<Vec<Value>>,
    /// What cut it off: `rows`, or `bytes`; null: these are all rows.
    pub(crate) truncated: Option<String>,
    /// The position that all tables were read as of.
    #[schema(value_type = u64)]
    pub(crate) position: Position,
    /// The moment that `now()` was.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) now: Timestamp,
    /// How the tables were read.
    pub(crate) reads: Vec<QueryReads>,
}

/// A column of an answer.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct QueryColumn {
    /// Its name.
    pub(crate) name: String,
    /// What it holds, where it is a column of a table: `text`, `time`, `integer`, `real`, `boolean`, `json`.
    pub(crate) r#type: Option<String>,
}

/// How a table was read.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct QueryReads {
    /// The table.
    pub(crate) table: String,
    /// The columns by which its rows were found; none: each row was looked at.
    pub(crate) by: Vec<String>,
    /// How often it was read so.
    pub(crate) scans: u64,
    /// How many rows were read, all times together.
    pub(crate) rows: u64,
}

/// The tables of queries.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct QueryTablesAnswer {
    pub(crate) tables: Vec<QueryTable>,
    /// The functions that queries have.
    pub(crate) functions: Vec<String>,
}

/// A table.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct QueryTable {
    /// Its name.
    pub(crate) name: String,
    /// What its rows are.
    pub(crate) about: String,
    /// The route that has the same rows.
    pub(crate) route: String,
    /// Its columns.
    pub(crate) columns: Vec<QueryTableColumn>,
}

/// A column of a table.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct QueryTableColumn {
    /// Its name.
    pub(crate) name: String,
    /// What it holds: `text`, `time`, `integer`, `real`, `boolean`, `json`.
    pub(crate) r#type: String,
    /// How rows are found by it: `key`, `index` (`=`, `in`), `range` (`=`, `<`, `>`), `from` (`=`, `>`), `argument`; null: each row is looked at.
    pub(crate) found_by: Option<String>,
    /// What it is.
    pub(crate) about: String,
}
