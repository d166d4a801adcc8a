//! A run, its steps, and what stands in their way.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{RunId, Time};

/// What a run is doing.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    Queued,
    Running,
    Waiting,
    Paused,
    Blocked,
    Succeeded,
    Failed,
    Cancelled,
}

/// What a step is doing.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepStatus {
    Pending,
    Scheduled,
    Running,
    Gating,
    Waiting,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
    Blocked,
}

/// The kind of a failure.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    Error,
    Exit,
    Crash,
    Timeout,
    Lost,
    Spawn,
    Validation,
    Gate,
    Rejected,
    Budget,
    Cancelled,
    Dependency,
    Conflict,
}

/// Why a step is blocked.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BlockReason {
    /// An attempt vanished, and it is not known what it did.
    Lost,
    /// The work failed.
    Failed,
    /// A gate failed.
    Gate { gate: String },
    /// A rework was asked for more often than it may be.
    UsedUp { target: String, gate: Option<String> },
    /// A gate's evidence did not come.
    NoEvidence { gate: String },
    /// A person rejected.
    Rejected,
    /// A rework holds before it.
    Held,
    /// A gate failed on the evidence of its last failure.
    Unchanged { target: String, gate: String },
    /// The work asked more often than it may.
    Asked,
    /// The route of a signal says so.
    Signal { name: String },
    /// A gate cannot be judged: an expression of it failed.
    Broken { gate: String },
}

/// The run whose history another one began with.
#[derive(ToSchema, Serialize)]
pub(crate) struct Origin {
    run: RunId,
    /// Its last version that was copied.
    version: u64,
    how: OriginKind,
}

/// What was done with a run whose history was copied.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OriginKind {
    Fork,
    Retry,
    Restart,
}

/// A slot or key that a run waits for or holds.
#[derive(ToSchema, Serialize)]
pub(crate) struct WantedSlot {
    key: String,
    /// `{"identity": {release, on_taken}}` or `{"concurrency": {limit, on_limit}}`.
    #[schema(value_type = Object)]
    kind: Value,
}

/// A run's workspace.
#[derive(ToSchema, Serialize)]
pub(crate) struct Workspace {
    /// The folder; absolute.
    path: String,
    repository: Option<String>,
    branch: Option<String>,
    /// The branch it started from.
    base: Option<String>,
    /// The commit it started from.
    commit: Option<String>,
}

/// A run as lists show it.
#[derive(ToSchema, Serialize)]
pub(crate) struct RunRow {
    id: RunId,
    /// The last 8 digits of the id.
    short_id: String,
    pipeline: String,
    title: Option<String>,
    started_by: String,
    started_at: Time,
    status: RunStatus,
    /// Since when it has been doing that at these steps.
    moved_at: Time,
    /// The steps that something goes on in, or that wait for people.
    steps: Vec<String>,
    /// How it failed, in one line.
    failure: Option<String>,
    /// Why it stands still, where somebody said so.
    paused: Option<String>,
    labels: BTreeMap<String, String>,
    /// Whom it waits for.
    awaits: Vec<Awaits>,
    ended_at: Option<Time>,
    /// US dollars, as a decimal.
    #[schema(example = "0.25")]
    cost: String,
    /// Tokens read and written, those from a cache left out.
    tokens: u64,
    updated_at: Time,
    /// Its last version.
    version: u64,
    /// The place of its first event in the store: the order of the list.
    position: u64,
    /// The position since which the row holds.
    since: u64,
    /// The run that started it.
    parent: Option<RunId>,
    origin: Option<Origin>,
    /// Why it cannot be gone on with; null where it can.
    set_aside: Option<String>,
}

/// Somebody whom a run waits for.
#[derive(ToSchema, Serialize)]
pub(crate) struct Awaits {
    /// The step, or an item of it.
    step: String,
    /// `approval`, `question` or `unblock`.
    what: String,
    /// Who may; empty: anyone.
    roles: Vec<String>,
}
