//! Why something is not done to a schedule, and how whoever asked is told.

use super::super::triggers::TailError;
use super::{Answer, ScheduleError};
use crate::id::Position;
use crate::ledger::Change;

/// Why something was not done.
pub(super) enum Trouble {
    Refused(ScheduleError),
    Tail(TailError),
}

impl From<TailError> for Trouble {
    fn from(error: TailError) -> Self {
        Self::Tail(error)
    }
}

impl Trouble {
    /// What is recorded by the engine itself is never refused.
    pub(super) fn tail(self) -> TailError {
        match self {
            Self::Tail(error) => error,
            Self::Refused(refusal) => TailError::Store(refusal.to_string()),
        }
    }
}

/// A change that was made by this very order.
pub(super) fn recorded(position: Position) -> Change {
    Change { position, changed: true, repeated: false }
}

pub(super) fn already(what: String) -> Trouble {
    Trouble::Refused(ScheduleError::AlreadySo(what))
}

/// Answers; an error of the stream is the desk's, too.
pub(super) fn told<T>(answer: Answer<T>, result: Result<T, Trouble>) -> Result<(), TailError> {
    let (told, error) = match result {
        Ok(done) => (Ok(done), None),
        Err(Trouble::Refused(refusal)) => (Err(refusal), None),
        Err(Trouble::Tail(TailError::Closed)) => (Err(ScheduleError::ShuttingDown), Some(TailError::Closed)),
        Err(Trouble::Tail(error)) => (Err(ScheduleError::Store(error.to_string())), Some(error)),
    };
    let _gone = answer.send(told);
    error.map_or(Ok(()), Err)
}
