//! The board, and how many runs there are.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::run::RunRowSchema;

/// The board, and the position that it is of.
#[derive(ToSchema, Serialize)]
#[schema(as = Board)]
pub(crate) struct BoardSchema {
    position: u64,
    group_by: GroupBySchema,
    columns: Vec<ColumnSchema>,
}

/// What makes a column.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = GroupBy)]
pub(crate) enum GroupBySchema {
    Status,
    Stage,
}

/// A column of the board.
#[derive(ToSchema, Serialize)]
#[schema(as = Column)]
pub(crate) struct ColumnSchema {
    name: String,
    /// Steps are in progress in it: its name is a stage or a step, not a status.
    is_step: bool,
    /// How many runs are in it.
    count: u64,
    /// The newest of them, as lists show them.
    cards: Vec<RunRowSchema>,
}

/// How many runs there are.
#[derive(ToSchema, Serialize)]
#[schema(as = Stats)]
pub(crate) struct StatsSchema {
    position: u64,
    total: u64,
    by_status: BTreeMap<String, u64>,
    /// What people are asked now.
    open_tasks: u64,
}
