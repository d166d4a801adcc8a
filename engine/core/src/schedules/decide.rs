//! What follows for a schedule.

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{ClockSetBack, PassedBecause, ScheduleEvent, TickDue, TickSettled, TicksPassed};
use super::state::ScheduleState;
use crate::triggers::Outcome;
use everfold_base::id::Version;
use everfold_base::time::Timestamp;
use everfold_language::definition::{CatchUp, Overlap};
use everfold_language::timetable::{CAUGHT_UP_MAX, Due, Timetable};

/// A moment that is later than this passed while nothing ran.
const LATE: Duration = Duration::from_secs(60);
/// Moments that passed while nothing ran are counted up to so many; of more it is said that there are older ones.
const COUNTED_MAX: usize = 10_000;
/// Moments of one schedule that wait for the end of a run.
pub const WAITING_MAX: usize = 100;

/// What a schedule decides on at a reading of the clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The time.
    pub at: Timestamp,
    /// The run of the last moment has not ended, and counts for `overlap`.
    pub is_busy: bool,
}

/// What follows from a look at the clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looked {
    /// The facts, in their order.
    pub events: Vec<ScheduleEvent>,
}

/// Whether moments were decided on that lie ahead of the clock, by more than small corrections of it: it was set back.
#[must_use]
pub fn is_ahead(state: &ScheduleState, now: Timestamp) -> bool {
    state.cursor().since(now) > LATE
}

/// What follows at this time. `name` is the schedule's.
#[must_use]
pub fn look(state: &ScheduleState, name: &str, timetable: &Timetable, now: Now) -> Looked {
    let mut looked = Looked::default();
    let (Some(schedule), None) = (state.schedule(), state.paused()) else { return looked };
    if is_ahead(state, now.at) {
        // Nothing else is due: the moments from here on are those of the next look.
        looked.events.push(ScheduleEvent::ClockSetBack(ClockSetBack { to: now.at }));
        return looked;
    }
    let due = timetable.due(name, state.cursor(), now.at, CAUGHT_UP_MAX);
    let Some(last) = due.moments.last().copied() else { return looked };
    let is_late = |moment: &Timestamp| now.at.since(timetable.put_off(name, *moment)) > LATE;
    let counts = match schedule.catch_up {
        CatchUp::None => due.moments.iter().position(|moment| !is_late(moment)).unwrap_or(due.moments.len()),
        // The last one counts, late or not.
        CatchUp::One => {
            let on_time = due.moments.iter().position(|moment| !is_late(moment));
            on_time.unwrap_or(due.moments.len() - 1)
        }
        CatchUp::All => 0,
    };
    let (late, counting) = due.moments.split_at(counts);
    if due.has_older || !late.is_empty() {
        let first = due.moments.first().copied().unwrap_or(last);
        // The oldest that counts is a fact of its own.
        let until = late.last().copied().unwrap_or(Timestamp(first.0 - 1));
        let older = match due.has_older {
            true => timetable.between(state.cursor(), Timestamp(first.0 - 1), COUNTED_MAX),
            false => Due::default(),
        };
        looked.pass(until, older.moments.len() + late.len(), older.has_older, PassedBecause::Late);
    }
    let mut room = match schedule.overlap {
        Overlap::Skip if now.is_busy || !state.waiting().is_empty() => 0,
        Overlap::Skip => 1,
        Overlap::Allow | Overlap::Queue => WAITING_MAX.saturating_sub(state.waiting().len()),
    };
    let because = match schedule.overlap {
        Overlap::Skip => PassedBecause::Overlap,
        Overlap::Allow | Overlap::Queue => PassedBecause::Full,
    };
    let mut passed = 0;
    for moment in counting {
        if room > 0 {
            room -= 1;
            looked.events.push(ScheduleEvent::TickDue(TickDue { at: *moment, by_hand: false }));
        } else {
            passed += 1;
        }
    }
    if passed > 0 {
        looked.pass(last, passed, false, because);
    }
    looked
}

/// A person triggers what a moment would do, now; `None`: as many moments as may wait already.
#[must_use]
pub fn trigger(state: &ScheduleState, at: Timestamp) -> Option<ScheduleEvent> {
    let has_room = state.waiting().len() < WAITING_MAX;
    has_room.then_some(ScheduleEvent::TickDue(TickDue { at, by_hand: true }))
}

/// Nothing follows any more from the moments that wait: the schedule is paused or removed. Not so where a person
/// asked for the moment, where it is already being followed (`in_work`), or where its signals are about to be delivered to runs.
#[must_use]
pub fn drop_waiting(state: &ScheduleState, in_work: &BTreeSet<Version>, why: &str) -> Vec<ScheduleEvent> {
    let is_dropped =
        |tick: &Version, by_hand: bool| !by_hand && !in_work.contains(tick) && state.targets(*tick).is_none();
    let waiting = state.waiting().iter().filter(|(version, tick)| is_dropped(version, tick.by_hand));
    let outcome = || Outcome::Ignored { why: why.to_owned() };
    waiting
        .map(|(tick, _)| ScheduleEvent::TickSettled(TickSettled { tick: *tick, outcome: outcome() }))
        .collect()
}

impl Looked {
    fn pass(&mut self, until: Timestamp, count: usize, has_older: bool, because: PassedBecause) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.events.push(ScheduleEvent::TicksPassed(TicksPassed { until, count, has_older, because }));
    }
}
