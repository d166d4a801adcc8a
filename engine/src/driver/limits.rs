//! What work counts as among all that is in progress.

use crate::definition::Task;
use crate::execution::Traits;

/// What an attempt or probe counts as. Each class has so many places ([`super::line`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    Supervised,
    Function,
    /// A child run: it takes no place of its own, because its steps do; runs that wait for each
    /// other's places would wait for ever.
    Child,
    Probe,
    /// Work that somebody else fetches. It has places of its own: where nobody comes for it, nothing else
    /// is kept from starting.
    Elsewhere,
}

impl Class {
    pub(super) fn of(kind: &str, traits: &Traits, is_elsewhere: bool) -> Self {
        match kind {
            Task::RUN => Self::Child,
            _other if is_elsewhere => Self::Elsewhere,
            _other if traits.supervised => Self::Supervised,
            _other => Self::Function,
        }
    }
}
