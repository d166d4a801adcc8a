//! Workers, and what they are given and tell.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{RunIdSchema, TimeSchema};

/// A worker: a process, or all that poll with one token and do not say which process they are.
#[derive(ToSchema, Serialize)]
#[schema(as = WorkerView)]
pub(crate) struct WorkerViewSchema {
    /// The actor.
    name: String,
    /// The process, as it calls itself; null: it does not say.
    instance: Option<String>,
    /// What it does, by its newest poll.
    functions: Vec<String>,
    /// Its polls that wait at this moment.
    polls: usize,
    /// Since when it is known to this engine.
    since: TimeSchema,
    /// When it was last heard of.
    seen_at: TimeSchema,
    /// The attempts that it holds, the oldest first.
    holds: Vec<HeldViewSchema>,
}

/// An attempt that a worker holds.
#[derive(ToSchema, Serialize)]
#[schema(as = HeldView)]
pub(crate) struct HeldViewSchema {
    id: AttemptNameSchema,
    run: RunIdSchema,
    /// The step, with the item of a `foreach`.
    step: String,
    function: String,
    since: TimeSchema,
    /// Until when, unless the worker is heard of.
    lease_until: TimeSchema,
    /// Why it is to end.
    stopping: Option<String>,
}

/// A function that workers do.
#[derive(ToSchema, Serialize)]
#[schema(as = RemoteView)]
pub(crate) struct RemoteViewSchema {
    name: String,
    summary: String,
    /// Attempts that no worker has fetched.
    waiting: usize,
    /// Polls that wait for it.
    polls: usize,
}

/// An attempt as its worker names it: `RUN:STEP[.ITEM]:ROUND:ATTEMPT`.
#[derive(ToSchema, Serialize)]
#[schema(example = "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10:deploy:1:1")]
#[schema(as = AttemptName)]
pub(crate) struct AttemptNameSchema(String);

/// An attempt that a worker is given.
#[derive(ToSchema, Serialize)]
#[schema(as = Job)]
pub(crate) struct JobSchema {
    id: AttemptNameSchema,
    /// Proves that it is this worker's.
    lease: String,
    /// Until when it is, unless it is heard of.
    lease_until: TimeSchema,
    /// How long it is after each time that it is heard of, in seconds.
    lease_seconds: f64,
    /// What is to be done.
    function: String,
    /// Its parameters.
    with: Value,
    run: RunIdSchema,
    /// The step, with the item of a `foreach`.
    step: String,
    /// The visit of the step, from 1.
    round: u32,
    /// The try within the round, from 1.
    attempt: u32,
    /// Equal for every attempt of a round.
    idempotency_key: String,
    /// The time limit, counted from now, in seconds.
    timeout_seconds: Option<f64>,
    /// What the run tells, where the function says that it reads it; else null.
    #[serde(rename = "told")]
    run_summary: Value,
}

/// What a worker hears when it tells that it is there.
#[derive(ToSchema, Serialize)]
#[schema(as = Heard)]
pub(crate) struct HeardSchema {
    /// Until when it holds the attempt.
    lease_until: TimeSchema,
    /// The attempt is to end: what it gives does not count any more.
    cancel: bool,
    reason: Option<String>,
}

/// A failure as a worker tells it.
#[derive(ToSchema, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[schema(as = Told)]
pub(crate) struct ReportedFailureSchema {
    /// What happened, in one line.
    message: String,
    #[serde(default)]
    kind: ReportedKindSchema,
    /// A code of its own, by which routes and programs tell failures apart.
    #[serde(default)]
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,63}$")]
    code: Option<String>,
    /// What a person can do next.
    #[serde(default)]
    hint: Option<String>,
    /// More of what happened.
    #[serde(default)]
    detail: Option<String>,
}

/// The kinds of failure that work may tell.
#[derive(ToSchema, Serialize, serde::Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[schema(as = ToldKind)]
pub(crate) enum ReportedKindSchema {
    #[default]
    Error,
    /// What it was given is not what it takes.
    Validation,
    /// Other work holds what it needs.
    Conflict,
}
