//! What events of signals are made of. Frozen with them.

use serde::{Deserialize, Serialize};

use everfold_base::failure::Failure;
use everfold_base::id::AttemptId;
use everfold_language::definition::FinishStatus;

/// What took a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalTaker {
    /// A gate asks at once.
    Gate {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
    },
    /// A `wait` that it ended.
    Wait(AttemptId),
    /// The route of a step.
    Step(AttemptId),
    /// The route of the run.
    Run,
    /// No gate, step or route.
    Nobody,
}

/// What became of a signal at its taker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearing {
    /// It was followed at once.
    Now,
    /// It is followed when the work that executes has ended.
    Deferred,
    /// Nothing follows.
    Ignored,
    /// It is kept for a `wait` to come.
    Kept,
    /// Its route refuses it.
    Refused,
}

/// How a signal ends a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalEnd {
    /// The run fails.
    Failed(Failure),
    /// A `finish` route.
    Finished(FinishStatus),
}
