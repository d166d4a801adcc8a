//! What pauses a run that waits for its slots.

use std::collections::BTreeSet;

use everfold_core::event::HaltScope;
use everfold_core::state::{PausedBy, RunState};

/// What pauses a run that waits for its slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunPauses {
    /// A person or a breakpoint pauses this run alone.
    alone: bool,
    /// The pauses of its pipeline and of the engine that it has recorded.
    halts: Vec<HaltScope>,
}

impl RunPauses {
    pub(crate) fn of(state: &RunState) -> Self {
        let alone = state.pauses().any(|pause| !matches!(pause.by, PausedBy::Halt(_)));
        Self { alone, halts: state.halts().cloned().collect() }
    }

    /// Whether the run is paused while these pipelines are, or the engine is. One whose pause is over counts as released,
    /// though it may not have recorded that yet: runs are released one after the other, and none is served before its turn.
    pub(super) fn hold(&self, in_force: &BTreeSet<HaltScope>) -> bool {
        self.alone || self.halts.iter().any(|halt| in_force.contains(halt))
    }
}
