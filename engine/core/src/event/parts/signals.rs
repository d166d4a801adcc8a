//! What events of signals are made of. Frozen with them.

use serde::{Deserialize, Serialize};

use everfold_base::actor::Actor;
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

/// What a signal that ends a run, or fails a step, decides in the place of the pipeline's own judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalDecision {
    /// The signal's name.
    pub name: String,
    /// Who sent it: one that was put off is taken with a later input.
    pub sent_by: Actor,
    /// What it says to people.
    pub words: Option<String>,
    /// The gates that the run succeeds past, as `STEP/GATE`: those that had not passed, of steps that were judged or
    /// blocked.
    pub bypassed: Vec<String>,
}

impl SignalDecision {
    /// Why the run ended, in words.
    #[must_use]
    pub fn reason(&self) -> String {
        let words = self.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        format!("the signal “{}”{words}", self.name)
    }
}
