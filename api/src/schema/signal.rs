//! What becomes of signals.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::AttemptIdSchema;

/// Who took a signal.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignalTaker)]
pub(crate) enum SignalTakerSchema {
    /// A gate asks at once.
    Gate { id: AttemptIdSchema, gate: String },
    /// A `wait` that it ended.
    Wait(AttemptIdSchema),
    /// The route of a step.
    Step(AttemptIdSchema),
    /// The route of the run.
    Run,
    /// No step, gate or route of the run.
    Nobody,
}

/// What became of a signal at its taker.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = Hearing)]
pub(crate) enum HearingSchema {
    Now,
    Deferred,
    Ignored,
    Kept,
    /// Its route refuses it.
    Refused,
}
