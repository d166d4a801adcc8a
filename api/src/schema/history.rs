//! Events, decisions and attempts.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{HashSchema, RunIdSchema, TimeSchema};
use super::run::FailureKindSchema;
use super::task::RemarkSchema;
use crate::view::SeenView;

/// One of the events that a stream consists of; comments come between them.
#[derive(ToSchema, Serialize)]
#[schema(example = json!({"id": "0190b3a27c1e7a44-12", "event": "event", "data": "{}"}))]
#[schema(as = StreamEvent)]
pub(crate) struct StreamEventSchema {
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
#[schema(as = Verdict)]
pub(crate) enum VerdictSchema {
    Pass,
    Fail,
    Pending,
    Skipped,
}

/// A verdict with its run.
#[derive(ToSchema, Serialize)]
#[schema(as = RunDecision)]
pub(crate) struct RunDecisionSchema {
    run: RunIdSchema,
    short_id: String,
    version: u64,
    position: u64,
    at: TimeSchema,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKindSchema,
}

/// A decision with its run.
#[derive(ToSchema, Serialize)]
#[schema(as = ListedDecision)]
pub(crate) struct ListedDecisionSchema {
    run: RunIdSchema,
    short_id: String,
    /// The run's pipeline.
    pipeline: String,
    /// The run's title.
    title: Option<String>,
    version: u64,
    position: u64,
    at: TimeSchema,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKindSchema,
}

/// Why the work of a fork's attempt was not done.
#[derive(ToSchema, Serialize)]
#[schema(as = AttemptSpared)]
pub(crate) struct AttemptSparedSchema {
    /// `recorded`: the origin recorded the end of work that was given the same; `held`: it acts outside.
    why: String,
    /// What it would have done, where it was held back.
    would: Option<String>,
    /// The event of the origin that stood in for it.
    version: Option<u64>,
}

/// One attempt with its times.
#[derive(ToSchema, Serialize)]
#[schema(as = AttemptRow)]
pub(crate) struct AttemptRowSchema {
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    /// The executor; empty where it is not told again.
    kind: String,
    scheduled_at: TimeSchema,
    started_at: Option<TimeSchema>,
    spared: Option<AttemptSparedSchema>,
    end: Option<AttemptEndSchema>,
}

/// An attempt with its run.
#[derive(ToSchema, Serialize)]
#[schema(as = RunAttempt)]
pub(crate) struct RunAttemptSchema {
    run: RunIdSchema,
    short_id: String,
    /// The run's pipeline.
    pipeline: String,
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    /// The executor; empty where it is not told again.
    kind: String,
    scheduled_at: TimeSchema,
    started_at: Option<TimeSchema>,
    spared: Option<AttemptSparedSchema>,
    end: Option<AttemptEndSchema>,
    /// From its schedule to its begin.
    waited_ms: Option<u64>,
    /// From its begin to its end.
    worked_ms: Option<u64>,
}

/// How an attempt ended.
#[derive(ToSchema, Serialize)]
#[schema(as = AttemptEnd)]
pub(crate) struct AttemptEndSchema {
    at: TimeSchema,
    /// Null: well.
    failure: Option<AttemptFailureSchema>,
    /// The head of its worktree then. Null: it had none.
    commit: Option<String>,
    /// Its log as it was when it was closed. Null: it left none.
    log: Option<LogSealSchema>,
}

/// What is recorded of an attempt's log.
#[derive(ToSchema, Serialize)]
#[schema(as = LogSeal)]
pub(crate) struct LogSealSchema {
    /// The BLAKE3 hash of the file's bytes.
    hash: HashSchema,
    /// Its lines.
    lines: u64,
    /// Its bytes.
    bytes: u64,
    /// How much output is missing in it.
    lost_bytes: u64,
}

/// How an attempt failed: a failure as everywhere, without `detail`.
#[derive(ToSchema, Serialize)]
#[schema(as = AttemptFailure)]
pub(crate) struct AttemptFailureSchema {
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
}

/// One decision.
#[derive(ToSchema, Serialize)]
#[schema(as = Decision)]
pub(crate) struct DecisionSchema {
    /// The event's place in its run.
    version: u64,
    /// The event's place in the store.
    position: u64,
    at: TimeSchema,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKindSchema,
}

/// A recheck that a decision is about.
#[derive(ToSchema, Serialize)]
#[schema(as = AskedRecheck)]
pub(crate) struct AskedRecheckSchema {
    /// Its place in the run.
    version: u64,
    at: TimeSchema,
    /// Who asked for it.
    actor: String,
    reason: Option<String>,
    /// The gate that was to be judged. Null: none was.
    gate: Option<String>,
}

/// What was decided.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = DecisionKind)]
pub(crate) enum DecisionKindSchema {
    /// A gate was judged.
    Gate {
        gate: String,
        /// The attempt that was judged.
        attempt: u32,
        probe_no: u32,
        verdict: VerdictSchema,
        reason: String,
        evidence: Value,
        policy: String,
        policy_hash: HashSchema,
        evaluator: u32,
        tolerated: bool,
    },
    /// Someone voted.
    Vote {
        vote: String,
        comment: Option<String>,
        comments: Option<Vec<RemarkSchema>>,
        edited: Option<Value>,
        /// The digest of what the task showed.
        seen: Option<String>,
    },
    /// Someone saved a part of an answer.
    Part { answer: Value },
    /// Someone answered a question.
    Answer { answer: Value },
    /// No decision or answer came in time.
    Expiry { due: TimeSchema },
    /// The votes sufficed.
    Approval {
        decision: String,
        by: Vec<String>,
        comment: Option<String>,
        /// On what it was decided.
        seen: Option<SeenView>,
    },
    /// A person decided on a blocked step, or a signal ended the run.
    Override {
        /// Of a step what `unblock` says; of a run that a signal ended `succeed` or `fail`.
        decision: String,
        /// The signal that ended the run.
        signal: Option<String>,
        reason: Option<String>,
        policies: Option<BTreeMap<String, String>>,
        /// The gates that were passed over: those of the step that had not passed in its round; where a signal ended the
        /// run, those of all steps that were judged or blocked, as `STEP/GATE`.
        bypassed: Option<Vec<String>>,
        /// The output that the step was given in the place of its own.
        output: Option<Value>,
    },
    /// An operator had a step's gates judged again.
    Recheck {
        reason: Option<String>,
        policies: Option<BTreeMap<String, String>>,
        /// The recheck in whose place it is: not all that it asked for was judged.
        displaced: Option<AskedRecheckSchema>,
    },
    /// A recheck came to no verdict of a gate.
    Unjudged {
        gate: String,
        /// The attempt that was to be judged.
        attempt: u32,
        probe_no: u32,
        /// What happened.
        reason: String,
        /// Asking again cannot help.
        permanent: bool,
        asked: AskedRecheckSchema,
    },
    /// A step was sent back.
    Rework {
        gate: Option<String>,
        by: Option<String>,
        /// Which route, as `STEP/PLACE/INDEX`.
        route: String,
        used: u32,
        max: Option<u32>,
    },
    /// Someone cancelled the run, or a step of it.
    Cancel {
        reason: Option<String>,
        /// The signal that ended the run.
        signal: Option<String>,
    },
}

/// One event of a stream.
#[derive(ToSchema, Serialize)]
#[schema(as = EventLine)]
pub(crate) struct EventLineSchema {
    /// The run.
    run: RunIdSchema,
    /// Its place in the run, from 1 without gaps.
    version: u64,
    /// Its place in the store.
    position: u64,
    recorded_at: TimeSchema,
    committed_at: TimeSchema,
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
    hash: HashSchema,
    /// `{type, …}`: the fact itself.
    #[schema(value_type = Object, example = json!({"type": "RunSucceeded"}))]
    event: Value,
}
