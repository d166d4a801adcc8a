//! Schedules as callers add and see them.

use crate::aggregate_store::Change;
use everfold_base::id::{Position, RunId};
use everfold_base::time::Timestamp;
use everfold_core::schedules::{ScheduleOrigin, Settled};
use everfold_core::triggers::Outcome;
use everfold_language::definition::Schedule;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// A schedule to add.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Its name.
    pub name: String,
    /// Its moments.
    pub schedule: Schedule,
    /// What it does.
    pub origin: ScheduleOrigin,
}

/// A schedule that becomes another one.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleUpdate {
    /// The schedule as the caller saw it. Where it is another one by now, nothing is changed.
    pub seen: NewSchedule,
    /// Its moments from now on.
    pub schedule: Schedule,
    /// What it does from now on.
    pub origin: ScheduleOrigin,
}

/// An order to remove a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The schedule.
    pub name: String,
    /// Why.
    pub reason: Option<String>,
    /// The runs that its moments started, and that have not ended, are cancelled.
    pub cancels: bool,
}

/// A schedule that was removed.
#[derive(Debug)]
pub struct RemovedSchedule {
    /// What was recorded.
    pub change: Change,
    /// Resolves with the runs that were cancelled; never where none is to be, or where the engine ends before.
    pub cancelled: oneshot::Receiver<Vec<RunId>>,
}

/// A schedule as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRecord {
    /// Its name.
    pub name: String,
    /// Its moments; `None`: they cannot be read.
    pub schedule: Option<Schedule>,
    /// Where it comes from, and what it does.
    pub origin: ScheduleOrigin,
    /// Since when, and why, it is paused.
    pub paused: Option<(Timestamp, Option<String>)>,
    /// When the next moment is due.
    pub next: Option<Timestamp>,
    /// Moments that have come and wait.
    pub waiting: usize,
    /// The last moments that led to something, the newest last.
    pub settled: Vec<Settled>,
    /// How many moments were passed over, by reason.
    pub passed: BTreeMap<String, u64>,
    /// More were passed over than were counted.
    pub has_older: bool,
}

/// A moment that was asked for.
#[derive(Debug)]
pub struct Ticked {
    /// The place of its fact in the store.
    pub position: Position,
    /// It was asked for before, under the same key: what it led to stands with the schedule.
    pub repeated: bool,
    /// Resolves with what it led to; never where the engine ends before.
    pub outcome: oneshot::Receiver<Outcome>,
}
