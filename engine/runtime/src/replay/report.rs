//! What a replay found.

use crate::error::LoadError;
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::{Misfit, Refusal};
use everfold_core::event::RunEvent;

/// What came of deciding a run again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Inputs that were decided again.
    pub inputs: u64,
    /// Events that were compared.
    pub events: u64,
    /// Verdicts of gates that were given again on their evidence.
    pub verdicts: u64,
    /// The inputs that would be decided differently now; at most 100.
    pub differences: Vec<Difference>,
}

impl Replayed {
    pub(crate) fn push(&mut self, difference: Difference) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        }
    }
}

/// An input that would be decided differently now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The first event of the recorded batch.
    pub version: Version,
    /// Its name: which input it was.
    pub fact: &'static str,
    /// What the history has from the first difference on.
    pub recorded: Option<RunEvent>,
    /// What would be there now.
    pub decided: Option<RunEvent>,
    /// What happened, in one line.
    pub message: String,
}

/// What another definition would decide of a run's recorded inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redecided {
    /// The definition.
    pub definition: Hash,
    /// All of these inputs were recorded with it.
    pub is_recorded: bool,
    /// Inputs that were decided.
    pub inputs: u64,
    /// Recorded events that were compared.
    pub events: u64,
    /// Inputs that would be decided otherwise.
    pub otherwise: u64,
    /// Inputs on whose state the definition does not fit.
    pub unfit: u64,
    /// The inputs that are not alike, in order; at most 100. Those in a row that do not fit for one reason are one.
    pub differences: Vec<OtherDecision>,
    /// The decision in full, where one was asked about.
    pub decision: Option<WholeDecision>,
}

/// An input that another definition decides otherwise, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherDecision {
    /// The first event of the recorded batch.
    pub version: Version,
    /// The last event of this input, or of the last one in a row that does not fit for the same reason.
    pub until: Version,
    /// The name of the first event: which input it was.
    pub fact: &'static str,
    /// What the history has from the first difference on.
    pub recorded: Option<RunEvent>,
    /// What would be there.
    pub decided: Option<RunEvent>,
    /// What of the state does not fit; empty: it fits.
    pub misfits: Vec<Misfit>,
    /// What is different, in one line.
    pub message: String,
}

/// One decision in full, as it is recorded and as another definition would make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeDecision {
    /// The first event of the recorded batch.
    pub version: Version,
    /// What is recorded.
    pub recorded: Vec<RunEvent>,
    /// What going over to the definition leads to by itself, before the input: steps begin that wait for nothing there.
    pub ahead: Vec<RunEvent>,
    /// What would follow from the input.
    pub decided: Vec<RunEvent>,
}

/// Why a run could not be decided again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The history cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The definition is one of another pipeline.
    #[error(transparent)]
    Refused(Refusal),
    /// A value that was kept outside of its event is not at hand.
    #[error("run {run}, version {version}: {what}")]
    Value {
        /// The run.
        run: RunId,
        /// The event.
        version: Version,
        /// What happened.
        what: String,
    },
}

/// Differences that are listed; more of them add nothing.
pub(crate) const DIFFERENCES_MAX: usize = 100;
