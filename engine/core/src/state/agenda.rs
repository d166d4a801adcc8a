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
    /// The same entry where steps have other numbers; none: its step is not there.
    pub(super) fn renumbered(self, place: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        Some(match self {
            Self::Signal(None) => self,
            Self::Signal(Some(at)) => Self::Signal(Some(place(at)?)),
            Self::Settle(key) => Self::Settle(Key { step: place(key.step)?, ..key }),
            Self::Judge(at) => Self::Judge(place(at)?),
            Self::Ready(at) => Self::Ready(place(at)?),
            Self::Items(at) => Self::Items(place(at)?),
            Self::End => self,
        })
    }
}
