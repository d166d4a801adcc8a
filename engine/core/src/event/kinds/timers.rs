//! Events of timers and of the clock that they are measured by.

use super::super::declare::event_payloads;
use super::super::parts::TimerId;
use everfold_base::time::Timestamp;

event_payloads! {
    /// Time is to pass.
    ///
    /// Then: the shard keeps the time and sends `timer fired`.
    TimerSet {
        /// Which timer.
        timer: TimerId,
        /// When it is due.
        at: Timestamp,
    }
    /// Time has passed. Fact of `timer fired`.
    ///
    /// Then: what the timer was set for: a poll, a time limit, a reminder, a retry.
    TimerFired {
        /// Which timer.
        timer: TimerId,
        /// When it was due.
        due: Timestamp,
    }
    /// The machine's clock says less than what was recorded before: it was ahead then, or is behind now. Spans
    /// count from what it says. Fact of `clock read`.
    ///
    /// Then: timers are set anew by what the clock says.
    ClockRead {
        /// What it says.
        clock: Timestamp,
    }
}
