//! A run, its steps, and what stands in their way.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{RunId, Time};
use crate::view::{ParentView, UsageView};

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

/// A run as lists and boards show it. A field that the run alone has too is the same there.
#[derive(ToSchema, Serialize)]
pub(crate) struct RunRow {
    /// The run.
    id: RunId,
    /// The last 8 digits of the id.
    short_id: String,
    /// The pipeline's name.
    pipeline: String,
    /// For readers.
    title: Option<String>,
    /// Who started it.
    started_by: String,
    /// When it began.
    started_at: Time,
    /// What it is doing.
    status: RunStatus,
    /// Since when it has been doing that at these steps.
    moved_at: Time,
    /// The steps that something goes on in, or that wait for people.
    active_steps: Vec<String>,
    /// How it failed.
    failure: Option<RowFailure>,
    /// How it failed or why it stands still, in one line.
    note: Option<String>,
    /// Addresses and filters.
    labels: BTreeMap<String, String>,
    /// Whom it waits for: of what the run awaits, the part that is of people.
    awaits: Vec<Awaits>,
    /// When it ended.
    ended_at: Option<Time>,
    /// What was used up.
    usage: UsageView,
    /// When the last event was recorded.
    updated_at: Time,
    /// The version that this was folded up to.
    version: u64,
    /// The place of its first event in the store: the order of the list.
    position: u64,
    /// The position since which the row holds.
    since: u64,
    /// The step of another run that started it.
    parent: Option<ParentView>,
    /// The run whose history this one began with.
    origin: Option<Origin>,
    /// Why it cannot be gone on with; null where it can.
    set_aside: Option<String>,
}

/// How a run failed: a failure as everywhere, without `detail`, `round` and `attempt`.
#[derive(ToSchema, Serialize)]
pub(crate) struct RowFailure {
    /// Which kind.
    kind: FailureKind,
    /// An own code below the kind.
    code: Option<String>,
    /// What happened, in one line.
    message: String,
    /// What to do next.
    hint: String,
    /// The exit code, where there is one.
    exit_code: Option<i32>,
    /// Where.
    step: Option<String>,
}

/// What somebody is waited for.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AwaitsKind {
    Approval,
    Question,
    Unblock,
}

/// Somebody whom a run waits for.
#[derive(ToSchema, Serialize)]
pub(crate) struct Awaits {
    /// The step, or an item of it.
    step: String,
    kind: AwaitsKind,
    /// Who may; empty: anyone.
    roles: Vec<String>,
}
