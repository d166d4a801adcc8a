//! The agenda of `advance`: folded, so that it survives a bound, a crash and a load.

use serde::{Deserialize, Serialize};

use super::key::Key;

/// One entry. The order of the variants is the order in which `decide` takes them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Agenda {
    /// Deferred signals may be taken up: those of a step, or those of the run.
    Signal(Option<usize>),
    /// Something ended: what follows?
    Settle(Key),
    /// A gate is next.
    Judge(usize),
    /// A step's needs are satisfied.
    Ready(usize),
    /// Items may be scheduled.
    Items(usize),
    /// The run is to end.
    End,
}

impl Agenda {
    pub(super) fn step(self) -> Option<usize> {
        match self {
            Self::Signal(step) => step,
            Self::Settle(key) => Some(key.step),
            Self::Judge(step) | Self::Ready(step) | Self::Items(step) => Some(step),
            Self::End => None,
        }
    }
}
