//! What makes a column of the board, and how many runs there are.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::body::stats::GroupedAnswer;

/// What makes a column.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = GroupBy)]
pub(crate) enum GroupBySchema {
    Status,
    Stage,
}

/// The figures of a step over some runs.
#[derive(ToSchema, Serialize)]
#[schema(as = StepFigures)]
pub(crate) struct StepFiguresSchema {
    step: String,
    /// How many of the runs began it.
    runs: u64,
    /// Its rounds in all of them.
    rounds: u64,
    /// Its attempts, those of its items among them.
    attempts: u64,
    /// How many of those failed; cancelled ones did not.
    failed_attempts: u64,
    /// How long its attempts worked in a run; time that overlaps counts once. Null: no attempt did.
    machine: Option<TimeFiguresSchema>,
    /// How long it waited for people in a run. Null: it asked nothing.
    people: Option<TimeFiguresSchema>,
    /// Its gates that were judged, by name.
    gates: Vec<GateFiguresSchema>,
    /// In all of the runs, in US dollars.
    cost_usd: String,
}

/// A gate's figures.
#[derive(ToSchema, Serialize)]
#[schema(as = GateFigures)]
pub(crate) struct GateFiguresSchema {
    gate: String,
    /// How often it was judged in all of the runs, open ones included.
    judged: u64,
    /// How often it failed.
    failed: u64,
    /// How long its probes took in a run.
    took: Option<TimeFiguresSchema>,
}

/// How long something took in each run that had it.
#[derive(ToSchema, Serialize)]
#[schema(as = TimeFigures)]
pub(crate) struct TimeFiguresSchema {
    /// How many runs had it.
    runs: u64,
    /// In all of them together.
    total_ms: u64,
    /// In half of the runs at most so long.
    p50_ms: u64,
    /// In 95 of a hundred runs at most so long.
    p95_ms: u64,
    /// The longest.
    max_ms: u64,
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
    /// Figures of runs by group, where `by`, `bucket` or `filter` was given.
    grouped: Option<GroupedAnswer>,
}
