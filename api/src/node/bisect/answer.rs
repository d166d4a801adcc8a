//! Answers of `/runs/{run}/bisect` and `/bisect`.

use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::body::filter::UndecidedRows;
use crate::node::run_diff::{EventBrief, RunDiff};
use crate::schema;

/// The first event of a run after which an expression is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RunBisect {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    /// The last 8 digits of the id.
    pub(crate) short_id: String,
    /// What was asked.
    pub(crate) expression: String,
    /// The first event after which it is true; null: it was never true.
    pub(crate) first: Option<FoundEvent>,
    /// The input that recorded that event: its first event, where that is another one.
    pub(crate) cause: Option<FoundEvent>,
    /// What that event changed; null: there is none, or it is the first of the run.
    pub(crate) changed: Option<RunDiff>,
    /// The first event behind it after which it was not true again; null: it stayed true.
    pub(crate) false_again: Option<FoundEvent>,
    /// What it is after the last event that was looked at; null: neither.
    pub(crate) last: Option<bool>,
    /// How many events were looked at, from the first on.
    pub(crate) looked_at: u64,
    /// Looking ended at its bound: the run has more events.
    pub(crate) more: bool,
    /// Where looking goes on, as `from`; null: no event is left.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(crate) next: Option<Version>,
    /// Names of the expression that the run does not have.
    #[serde(default)]
    pub(crate) unknown: Vec<UnknownName>,
    /// Events after which it is neither true nor false.
    pub(crate) undecided: Option<UndecidedRows>,
}

/// A name of an expression that no run has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct UnknownName {
    /// `step`, `gate` or `label`.
    pub(crate) kind: String,
    /// The name.
    pub(crate) name: String,
    /// The step that has no such gate.
    pub(crate) step: Option<String>,
    /// The nearest name that there is.
    pub(crate) near: Option<String>,
}

/// An event that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct FoundEvent {
    #[serde(flatten)]
    pub(crate) event: EventBrief,
    /// Its place in the log.
    #[schema(value_type = u64)]
    pub(crate) position: Position,
}

/// The first run of a list of which an expression is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RunsBisect {
    /// What was asked.
    pub(crate) expression: String,
    /// The first run of which it is true, by start; null: of none.
    pub(crate) first: Option<NamedRun>,
    /// The run of the same pipeline that was started before it, the newest of which it is not true.
    pub(crate) before: Option<NamedRun>,
    /// What changed of the definition between the two; null: nothing.
    pub(crate) definition: Option<DefinitionChange>,
    /// How many runs were looked at, from the oldest on.
    pub(crate) looked_at: u64,
    /// Looking ended at its bound: the list has more runs.
    pub(crate) more: bool,
    /// Where looking goes on, as `cursor`; null: the run was found, or no run is left.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
    /// Names of the expression that none of the runs has which were looked at.
    #[serde(default)]
    pub(crate) unknown: Vec<UnknownName>,
    /// Runs of which it is neither true nor false.
    pub(crate) undecided: Option<UndecidedRows>,
}

/// A run that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct NamedRun {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    /// The last 8 digits of the id.
    pub(crate) short_id: String,
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// For readers.
    pub(crate) title: Option<String>,
    /// What it is doing.
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: RunStatus,
    /// When it began.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) started_at: Timestamp,
    /// The pinned definition.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) definition: Hash,
    /// The saved version of the pipeline that it is; null: it was never saved.
    pub(crate) saved: Option<u32>,
}

/// Two definitions of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct DefinitionChange {
    /// That of the run before.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) from: Hash,
    /// That of the first run.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) to: Hash,
    /// When the later one was saved, where it was.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) saved_at: Option<Timestamp>,
    /// Who saved it.
    pub(crate) saved_by: Option<String>,
    /// What differs, as paths of the canonical document; at most 50.
    pub(crate) changes: Vec<crate::compare::ValueDifference>,
}
