//! The classes of work that are limited apart from each other, and how deep runs may start each other.

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
    /// Work that a remote worker fetches. It has places of its own: where no worker comes, other work still starts.
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

/// How deep runs may start each other.
pub(crate) const DEPTH_MAX: u32 = 16;
