//! What the tasks of the schedule actor end with.

use crate::streams::schedules::tick::FollowedTick;
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::id::{RunId, Version};

/// What a task of the schedule actor ends with.
pub(crate) enum ScheduleWork {
    /// A moment was followed.
    Followed(FollowedTick),
    /// What a moment waits for may be over.
    Freed {
        /// The schedule.
        name: String,
        /// The version of the moment's event.
        tick: Version,
    },
    /// The runs of a removed schedule are cancelled.
    Cancelled(CancelledRuns),
}

/// The runs of a removed schedule, cancelled.
pub(crate) struct CancelledRuns {
    pub(super) name: String,
    /// The version of the order.
    pub(super) meant: Version,
    pub(super) runs: Result<Vec<RunId>, EngineStopped>,
}
