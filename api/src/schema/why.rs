//! Causes.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{RunIdSchema, TimeSchema};

/// Why something is where it is.
#[derive(ToSchema, Serialize)]
#[schema(as = Cause)]
pub(crate) struct CauseSchema {
    kind: CauseKindSchema,
    subject: SubjectSchema,
    /// The cause in a sentence, without capital and full stop.
    #[schema(example = "the run waits for the slot deploy")]
    sentence: String,
    /// Since when.
    since: Option<TimeSchema>,
    /// When it ends by itself, or is looked at again.
    until: Option<TimeSchema>,
    evidence: Option<CauseEvidenceSchema>,
    /// The values that were looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    values: Vec<LookedAtSchema>,
    /// Why that is so.
    #[schema(no_recursion)]
    because: Vec<CauseSchema>,
}

/// What a cause is about, as far as it is about that.
#[derive(ToSchema, Serialize)]
#[schema(as = CauseSubject)]
pub(crate) struct SubjectSchema {
    /// Another run: the holder of a slot, a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunIdSchema>,
    /// A step, or an item of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// The round of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
    /// The attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// A name: of a gate, a slot, a signal, a budget, a function, a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// The event that shows a cause.
#[derive(ToSchema, Serialize)]
#[schema(as = CauseEvidence)]
pub(crate) struct CauseEvidenceSchema {
    /// The run whose event it is, where that is not the one that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunIdSchema>,
    /// Its place in the run.
    version: u64,
    /// Its place in the log.
    position: u64,
    /// Its name.
    event: String,
    /// Who caused it.
    actor: String,
}

/// A value that was looked at.
#[derive(ToSchema, Serialize)]
#[schema(as = LookedAt)]
pub(crate) struct LookedAtSchema {
    /// As expressions call it.
    #[schema(example = "input.deploy")]
    name: String,
    /// The value; long texts are cut.
    value: Value,
}

/// What kind of cause.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = CauseKind)]
pub(crate) enum CauseKindSchema {
    Ended,
    Cancelled,
    Paused,
    Slot,
    Approval,
    Question,
    Blocked,
    Signal,
    Budget,
    Timer,
    Work,
    Start,
    Child,
    Probe,
    Verdict,
    Retry,
    Attempt,
    Rework,
    Need,
    Condition,
    Skipped,
    Standby,
    Succeeded,
    Failed,
    Stop,
    Workspace,
    Engine,
    Place,
    Resource,
    Rate,
    Breaker,
    Worker,
    Owner,
    SetAside,
    Disk,
    Preflight,
    More,
}
