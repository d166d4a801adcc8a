//! Failures inside the schedule actor, and the answers that they become.

use crate::aggregate_store::Change;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::mailbox::Answer;
use crate::streams::stream_writer::StreamError;
use everfold_base::id::Position;

/// Why a request was not carried out.
pub(super) enum ScheduleFailure {
    /// The request makes no sense now.
    Refused(ScheduleError),
    /// The schedule's stream cannot be read or written.
    Stream(StreamError),
}

impl From<StreamError> for ScheduleFailure {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl ScheduleFailure {
    /// The error of the stream. What the engine itself records is never refused.
    pub(super) fn stream_error(self) -> StreamError {
        match self {
            Self::Stream(error) => error,
            Self::Refused(refusal) => StreamError::store(&refusal),
        }
    }
}

/// A change that this very request made.
pub(super) fn recorded(position: Position) -> Change {
    Change { position, changed: true, repeated: false }
}

pub(super) fn already(what: String) -> ScheduleFailure {
    ScheduleFailure::Refused(ScheduleError::AlreadySo(what))
}

/// Answers; an error of the stream is the actor's, too.
pub(super) fn reply<T>(answer: Answer<T>, result: Result<T, ScheduleFailure>) -> Result<(), StreamError> {
    let (reply, error) = match result {
        Ok(done) => (Ok(done), None),
        Err(ScheduleFailure::Refused(refusal)) => (Err(refusal), None),
        Err(ScheduleFailure::Stream(StreamError::Closed)) => {
            (Err(ScheduleError::ShuttingDown), Some(StreamError::Closed))
        }
        Err(ScheduleFailure::Stream(error)) => (Err(ScheduleError::Store(error.to_string())), Some(error)),
    };
    let _gone = answer.send(reply);
    error.map_or(Ok(()), Err)
}
