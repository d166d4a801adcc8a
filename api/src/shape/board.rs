//! The board, and how many runs there are.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::run::RunRow;

/// The board, and the position that it is of.
#[derive(ToSchema, Serialize)]
pub(crate) struct Board {
    position: u64,
    group_by: GroupBy,
    columns: Vec<Column>,
}

/// What makes a column.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupBy {
    Status,
    Stage,
}

/// A column of the board.
#[derive(ToSchema, Serialize)]
pub(crate) struct Column {
    name: String,
    /// Steps are in progress in it: its name is a stage or a step, not a status.
    is_step: bool,
    /// How many runs are in it.
    count: u64,
    /// The newest of them, as lists show them.
    cards: Vec<RunRow>,
}

/// How many runs there are.
#[derive(ToSchema, Serialize)]
pub(crate) struct Stats {
    position: u64,
    total: u64,
    by_status: BTreeMap<String, u64>,
    /// What people are asked now.
    open_tasks: u64,
}
