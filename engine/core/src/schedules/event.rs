//! The facts of a schedule. Frozen once released, as those of runs are.

use serde::{Deserialize, Serialize};

use crate::triggers::Outcome;
use everfold_base::codec::stored;
use everfold_base::id::{RunId, Version};
use everfold_base::json::JsonText;
use everfold_base::time::Timestamp;

/// Where a schedule comes from, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduleOrigin {
    /// A trigger of the newest saved version of a pipeline.
    Trigger {
        /// The pipeline.
        pipeline: String,
        /// Which of its triggers, from 0.
        index: u32,
    },
    /// A person added it: it starts a pipeline.
    Added {
        /// The pipeline: NAME, NAME@N, NAME@HASH.
        pipeline: String,
        /// The run's input.
        input: JsonText,
        /// For readers.
        title: Option<String>,
    },
}

/// The schedule is there, or another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSet {
    /// Its moments: the document of a `schedule` of the language.
    pub schedule: JsonText,
    /// Where it comes from, and what it does.
    pub origin: ScheduleOrigin,
}

/// The schedule is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRemoved {
    /// Why.
    pub reason: Option<String>,
}

/// No moment counts until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePaused {
    /// Why.
    pub reason: Option<String>,
}

/// Moments count again, from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleResumed {
    /// Why.
    pub reason: Option<String>,
}

/// A moment has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickDue {
    /// The moment, without its jitter.
    pub at: Timestamp,
    /// A person asked for it; it is no moment of the schedule.
    pub by_hand: bool,
}

/// Moments came from which nothing follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicksPassed {
    /// The last of them.
    pub until: Timestamp,
    /// How many, as far as they were counted.
    pub count: u32,
    /// There are older ones that were not counted.
    pub has_older: bool,
    /// Why.
    pub because: PassedBecause,
}

/// The clock was set back behind moments that were decided on: moments count from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSetBack {
    /// The new reading of the clock.
    pub to: Timestamp,
}

/// Why nothing follows from a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedBecause {
    /// It passed while nothing ran, and the schedule does not catch up with it.
    Late,
    /// The run of the last one has not ended.
    Overlap,
    /// Too many wait already.
    Full,
}

/// What a moment led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickSettled {
    /// The version of the moment's own event.
    pub tick: Version,
    /// What.
    pub outcome: Outcome,
}

/// The signals of a moment are about to be delivered to these runs. After a crash the same runs get them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickMeant {
    /// The version of the moment's own event.
    pub tick: Version,
    /// The runs.
    pub runs: Vec<RunId>,
}

/// With its removal, the unended runs that its moments started are about to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsCancelMeant {
    /// Why.
    pub reason: Option<String>,
}

/// The runs that were to be cancelled are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsCancelSettled {
    /// The version of the event that announced it.
    pub meant: Version,
    /// The runs that were cancelled: those that had not ended; at most 10,000 are named.
    pub runs: Vec<RunId>,
}

/// A fact of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ScheduleEvent {
    /// It is there.
    ScheduleSet(ScheduleSet),
    /// It is no more.
    ScheduleRemoved(ScheduleRemoved),
    /// It stands still.
    SchedulePaused(SchedulePaused),
    /// It goes on.
    ScheduleResumed(ScheduleResumed),
    /// A moment has come.
    TickDue(TickDue),
    /// Moments were passed over.
    TicksPassed(TicksPassed),
    /// A moment led to something.
    TickSettled(TickSettled),
    /// Runs are about to get a signal.
    TickMeant(TickMeant),
    /// Its runs are about to be cancelled.
    RunsCancelMeant(RunsCancelMeant),
    /// Its runs are cancelled.
    RunsCancelSettled(RunsCancelSettled),
    /// The clock was set back.
    ClockSetBack(ClockSetBack),
}

const BYTES_MAX: u64 = 2 * 1024 * 1024;

stored!(ScheduleEvent, BYTES_MAX, {
    ScheduleSet = 1,
    ScheduleRemoved = 2,
    SchedulePaused = 3,
    ScheduleResumed = 4,
    TickDue = 5,
    TicksPassed = 6,
    TickSettled = 7,
    TickMeant = 8,
    RunsCancelMeant = 9,
    RunsCancelSettled = 10,
    ClockSetBack = 11,
});
