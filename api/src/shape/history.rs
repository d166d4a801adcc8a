//! Events, decisions and attempts.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{Hash, RunId, Time};
use super::run::FailureKind;
use super::task::Remark;

/// One of the events that a stream consists of; comments come between them.
#[derive(ToSchema, Serialize)]
#[schema(example = json!({"id": "0190b3a27c1e7a44-12", "event": "event", "data": "{}"}))]
pub(crate) struct StreamEvent {
    /// Where it stands: as `Last-Event-ID` it goes on behind that.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// What it is.
    event: String,
    /// JSON in one line.
    data: String,
}

/// What a gate says.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Pending,
    Skipped,
}

/// A verdict with its run.
#[derive(ToSchema, Serialize)]
pub(crate) struct RunDecision {
    run: RunId,
    short_id: String,
    version: u64,
    position: u64,
    at: Time,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKind,
}

/// One attempt with its times.
#[derive(ToSchema, Serialize)]
pub(crate) struct AttemptRow {
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    /// The executor; empty where it is not told again.
    kind: String,
    scheduled_at: Time,
    started_at: Option<Time>,
    end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(ToSchema, Serialize)]
pub(crate) struct AttemptEnd {
    at: Time,
    /// Null: well.
    failure: Option<AttemptFailure>,
}

/// How an attempt failed: a failure as everywhere, without `detail`.
#[derive(ToSchema, Serialize)]
pub(crate) struct AttemptFailure {
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
}

/// One decision.
#[derive(ToSchema, Serialize)]
pub(crate) struct Decision {
    /// The event's place in its run.
    version: u64,
    /// The event's place in the store.
    position: u64,
    at: Time,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKind,
}

/// What was decided.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum DecisionKind {
    /// A gate was judged.
    Gate {
        gate: String,
        probe_no: u32,
        verdict: Verdict,
        reason: String,
        evidence: Value,
        policy: String,
        policy_hash: Hash,
        evaluator: u32,
        tolerated: bool,
    },
    /// Someone voted.
    Vote { vote: String, comment: Option<String>, comments: Option<Vec<Remark>>, edited: Option<Value> },
    /// Someone answered a question.
    Answer { answer: Value },
    /// Nobody decided or answered in time.
    Expiry { due: Time },
    /// The votes sufficed.
    Approval { decision: String, by: Vec<String>, comment: Option<String> },
    /// A person decided on a blocked step.
    Override { decision: String, reason: Option<String>, policies: Option<BTreeMap<String, String>> },
    /// An operator had a step's gates judged again.
    Recheck { reason: Option<String>, policies: Option<BTreeMap<String, String>> },
    /// A step was sent back.
    Rework { gate: Option<String>, by: Option<String>, used: u32, max: Option<u32> },
    /// Someone cancelled the run, or a step of it.
    Cancel { reason: Option<String> },
}

/// One event of a stream.
#[derive(ToSchema, Serialize)]
pub(crate) struct EventLine {
    /// The run.
    run: RunId,
    /// Its place in the run, from 1 without gaps.
    version: u64,
    /// Its place in the store.
    position: u64,
    recorded_at: Time,
    committed_at: Time,
    /// Who caused it: `user:ada`, `token:ci`, `engine`.
    actor: String,
    /// The input it followed from, and the version behind it.
    #[schema(value_type = Object)]
    cause: Value,
    /// The number of its type.
    kind: u16,
    /// The version of that type's shape.
    schema: u16,
    flags: u16,
    /// The hash that chains it to the one before.
    hash: Hash,
    /// `{type, …}`: the fact itself.
    #[schema(value_type = Object, example = json!({"type": "RunSucceeded"}))]
    event: Value,
}
