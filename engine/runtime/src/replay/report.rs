//! What a replay found.

use crate::error::LoadError;
use everfold_base::id::{RunId, Version};
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

/// Why a run could not be decided again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The history cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
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
