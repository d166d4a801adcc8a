//! What becomes of signals.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::AttemptId;

/// Who took a signal.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignalTaker {
    /// A gate asks at once.
    Gate { id: AttemptId, gate: String },
    /// A `wait` that it ended.
    Wait(AttemptId),
    /// The route of a step.
    Step(AttemptId),
    /// The route of the run.
    Run,
    /// No one.
    Nobody,
}

/// What became of a signal at its taker.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hearing {
    Now,
    Deferred,
    Ignored,
    Kept,
}
