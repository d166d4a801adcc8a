//! What makes a column of the board, and how many runs there are.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What makes a column.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = GroupBy)]
pub(crate) enum GroupBySchema {
    Status,
    Stage,
}

/// How many runs there are.
#[derive(ToSchema, Serialize)]
#[schema(as = Stats)]
pub(crate) struct StatsSchema {
    position: u64,
    total: u64,
    by_status: BTreeMap<String, u64>,
    /// What people were asked at that position.
    open_tasks: u64,
}
