//! A run, its steps, and what stands in their way.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{RunIdSchema, TimeSchema};
use crate::view::{ParentView, UsageView};

/// What a run is doing.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = RunStatus)]
pub(crate) enum RunStatusSchema {
    Queued,
    Running,
    Waiting,
    Paused,
    Blocked,
    Succeeded,
    Failed,
    Cancelled,
    Stopping,
}

/// What a step is doing.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepStatus)]
pub(crate) enum StepStatusSchema {
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
#[schema(as = FailureKind)]
pub(crate) enum FailureKindSchema {
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
#[schema(as = BlockReason)]
pub(crate) enum BlockReasonSchema {
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
#[schema(as = Origin)]
pub(crate) struct OriginSchema {
    run: RunIdSchema,
    /// Its last version that was copied.
    version: u64,
    how: OriginKindSchema,
}

/// What was done with a run whose history was copied.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = OriginKind)]
pub(crate) enum OriginKindSchema {
    Fork,
    Retry,
    Restart,
    Handover,
}

/// A slot or key that a run waits for or holds.
#[derive(ToSchema, Serialize)]
#[schema(as = WantedSlot)]
pub(crate) struct WantedSlotSchema {
    key: String,
    /// `{"identity": {release, on_taken}}` or `{"concurrency": {limit, on_limit}}`.
    #[schema(value_type = Object)]
    kind: Value,
}

/// A run's workspace.
#[derive(ToSchema, Serialize)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceSchema {
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
#[schema(as = RunRow)]
pub(crate) struct RunRowSchema {
    /// The run.
    id: RunIdSchema,
    /// The last 8 digits of the id.
    short_id: String,
    /// The pipeline's name.
    pipeline: String,
    /// Its number among the runs of its key, where its pipeline numbers them.
    number: Option<u64>,
    /// For readers.
    title: Option<String>,
    /// Who started it.
    started_by: String,
    /// Who is behind the start, where that is another: who started the topmost run whose steps led to it, made its schedule
    /// or triggered that by hand.
    initiator: Option<String>,
    /// When it began.
    started_at: TimeSchema,
    /// What it is doing.
    status: RunStatusSchema,
    /// Since when it has been doing that at these steps.
    moved_at: TimeSchema,
    /// The steps that have begun and not ended.
    active_steps: Vec<String>,
    /// How many of its steps are how far; null where the log does not have its definition.
    step_counts: Option<StepCountsSchema>,
    /// How it failed.
    failure: Option<RowFailureSchema>,
    /// How it failed or why it stands still, in one line.
    note: Option<String>,
    /// Addresses and filters.
    labels: BTreeMap<String, String>,
    /// What it is found by beside its labels: texts, numbers, times, bools, lists of texts.
    search: BTreeMap<String, Value>,
    /// The people that it waits for: of what the run awaits, the part that is of people.
    awaits: Vec<AwaitsSchema>,
    /// When it ended.
    ended_at: Option<TimeSchema>,
    /// What was used up.
    usage: UsageView,
    /// How far its work said last that it is.
    progress: Option<RowProgressSchema>,
    /// When the last event was recorded.
    updated_at: TimeSchema,
    /// The version that this was folded up to.
    version: u64,
    /// The place of its first event in the store: the order of the list.
    position: u64,
    /// The position since which the row holds.
    since: u64,
    /// The step of another run that started it.
    parent: Option<ParentView>,
    /// The run whose history this one began with.
    origin: Option<OriginSchema>,
    /// Why it cannot be gone on with; null where it can.
    set_aside: Option<String>,
}

/// How many steps of a run are how far; together they are `total`.
#[derive(ToSchema, Serialize)]
#[schema(as = StepCounts)]
pub(crate) struct StepCountsSchema {
    /// Steps of the definition, those of `on_finish` among them.
    total: u32,
    /// Have not begun.
    pending: u32,
    /// Have begun and not ended: at work, at their gates, waiting, blocked.
    open: u32,
    /// Ended well.
    succeeded: u32,
    /// Failed for good, tolerated or not.
    failed: u32,
    /// Did not apply, or were passed over.
    skipped: u32,
    /// Were ended with their run.
    cancelled: u32,
}

/// How far the work of a run said last that it is.
#[derive(ToSchema, Serialize)]
#[schema(as = RowProgress)]
pub(crate) struct RowProgressSchema {
    /// The step, or an item of it.
    step: String,
    /// So many parts are done.
    done: u64,
    /// Of so many; 0: it is not known.
    of: u64,
}

/// How a run failed: a failure as everywhere, without `detail`, `round` and `attempt`.
#[derive(ToSchema, Serialize)]
#[schema(as = RowFailure)]
pub(crate) struct RowFailureSchema {
    /// Which kind.
    kind: FailureKindSchema,
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

/// What a person is waited for.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = AwaitsKind)]
pub(crate) enum AwaitsKindSchema {
    Approval,
    Question,
    Unblock,
}

/// A person that a run waits for.
#[derive(ToSchema, Serialize)]
#[schema(as = Awaits)]
pub(crate) struct AwaitsSchema {
    /// The step, or an item of it.
    step: String,
    kind: AwaitsKindSchema,
    /// Who may; empty: anyone.
    roles: Vec<String>,
}
