//! Errors of requests to schedules, as callers see them.

use everfold_core::schedules::WAITING_MAX;
use everfold_language::timetable::BadSchedule;

/// Why a request to a schedule was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The name is none.
    #[error("“{0}” is no name of a schedule: lower-case letters, digits, - and _, at most 64")]
    BadName(String),
    /// It has no moments.
    #[error(transparent)]
    Bad(#[from] BadSchedule),
    /// There is no such schedule.
    #[error("there is no schedule “{0}”")]
    NotFound(String),
    /// There is one of this name, and it is another one.
    #[error("there is a schedule “{0}” already")]
    Exists(String),
    /// It was changed by another request meanwhile.
    #[error("“{0}” was changed meanwhile; look at it and try again")]
    Changed(String),
    /// It belongs to a pipeline.
    #[error("“{name}” is a trigger of the pipeline {pipeline}")]
    OfPipeline {
        /// The schedule.
        name: String,
        /// The pipeline.
        pipeline: String,
    },
    /// It is so already.
    #[error("{0}")]
    AlreadySo(String),
    /// As many of its moments wait as may.
    #[error(
        "{WAITING_MAX} moments of “{0}” wait already; trigger it again when one of them has led to its run"
    )]
    Busy(String),
    /// The idempotency key was used for another order.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The store cannot be read, or takes nothing.
    #[error("{0}")]
    Store(String),
    /// The engine ends.
    #[error("the engine is shutting down")]
    ShuttingDown,
}
