//! What work counts as among all that is in progress.

use everfold_language::definition::ExecutorTask;
use everfold_ports::Traits;

/// What an attempt or probe counts as. Each class has so many places ([`crate::scheduler::places`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    Supervised,
    Function,
    /// A child run: it takes no place of its own, because its steps do; runs that wait for each
    /// other's places would wait for ever.
    Child,
    Probe,
    /// Work that a remote worker fetches. It has places of its own: where none comes for it, nothing else
    /// is kept from starting.
    Elsewhere,
}

impl Class {
    pub(crate) fn of(kind: &str, traits: &Traits, is_elsewhere: bool) -> Self {
        match kind {
            ExecutorTask::RUN => Self::Child,
            _other if is_elsewhere => Self::Elsewhere,
            _other if traits.supervised => Self::Supervised,
            _other => Self::Function,
        }
    }
}

/// Runs start each other at most so deep.
pub(crate) const DEPTH_MAX: u32 = 16;
