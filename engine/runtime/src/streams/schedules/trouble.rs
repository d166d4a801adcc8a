//! Why something is not done to a schedule, and how the request is answered.

use crate::ledger::Change;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::mailbox::Answer;
use crate::streams::stream_tail::TailError;
use everfold_base::id::Position;

/// Why something was not done.
pub(crate) enum ScheduleTrouble {
    Refused(ScheduleError),
    Tail(TailError),
}

impl From<TailError> for ScheduleTrouble {
    fn from(error: TailError) -> Self {
        Self::Tail(error)
    }
}

impl ScheduleTrouble {
    /// What is recorded by the engine itself is never refused.
    pub(crate) fn tail(self) -> TailError {
        match self {
            Self::Tail(error) => error,
            Self::Refused(refusal) => TailError::Store(refusal.to_string()),
        }
    }
}

/// A change that was made by this very order.
pub(crate) fn recorded(position: Position) -> Change {
    Change { position, changed: true, repeated: false }
}

pub(crate) fn already(what: String) -> ScheduleTrouble {
    ScheduleTrouble::Refused(ScheduleError::AlreadySo(what))
}

/// Answers; an error of the stream is the actor's, too.
pub(crate) fn reply<T>(answer: Answer<T>, result: Result<T, ScheduleTrouble>) -> Result<(), TailError> {
    let (reply, error) = match result {
        Ok(done) => (Ok(done), None),
        Err(ScheduleTrouble::Refused(refusal)) => (Err(refusal), None),
        Err(ScheduleTrouble::Tail(TailError::Closed)) => {
            (Err(ScheduleError::ShuttingDown), Some(TailError::Closed))
        }
        Err(ScheduleTrouble::Tail(error)) => (Err(ScheduleError::Store(error.to_string())), Some(error)),
    };
    let _gone = answer.send(reply);
    error.map_or(Ok(()), Err)
}
