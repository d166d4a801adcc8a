//! Schedules: moments that come again, and what they start.
//!
//! Law: a schedule's stream says it all, and folding and deciding are pure. A moment is a fact of the
//! stream, once, before anything follows from it; what it led to is another. What it starts has an id that
//! derives from that fact, so a repeat starts nothing else.
//!
//! Called by the schedule actor of the runtime, the only writer of these streams.

mod decide;
mod event;
mod state;

pub use decide::{Looked, Now, WAITING_MAX, drop_waiting, is_ahead, look, trigger};
pub use event::{
    ClockSetBack, PassedBecause, RunsCancelMeant, RunsCancelSettled, ScheduleEvent, ScheduleOrigin,
    SchedulePaused, ScheduleRemoved, ScheduleResumed, ScheduleSet, TickDue, TickMeant, TickSettled,
    TicksPassed,
};
pub use everfold_language::timetable::{BadSchedule, CAUGHT_UP_MAX, Due, Timetable, words};
pub use state::{CancelOrder, ScheduleState, Settled, Tick};

use everfold_base::envelope::{StreamId, StreamKind};

/// The stream of a schedule.
#[must_use]
pub fn stream(name: &str) -> StreamId {
    StreamId { kind: StreamKind::Schedule, id: name.into() }
}

/// Changes with what the fold keeps: snapshots of another one are not used.
pub const FOLD_VERSION: u32 = 4;

/// Whether a text may name a schedule that a person adds.
#[must_use]
pub fn is_name(text: &str) -> bool {
    crate::hooks::is_source(text)
}

/// The name of the schedule that a trigger of a pipeline is; triggers are counted from 1.
#[must_use]
pub fn name_of_trigger(pipeline: &str, index: usize) -> String {
    format!("{pipeline}:{}", index + 1)
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
