//! Outstanding work, as the folded state says it.
//!
//! Law: an effect is listed from the event that schedules it to the event that ends it; nothing is
//! listed that no event scheduled, and nothing that ended. The runtime starts what is listed and not
//! in progress; it stops only what a [`Effect::Stop`] names. Recovery is the same: fold, list, start.

use crate::event::TimerId;
use everfold_base::id::{AttemptId, StepId, StepPath, Version};
use everfold_base::time::Timestamp;

/// One piece of outstanding work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// An attempt to start, or to go on with.
    Attempt {
        /// Which.
        id: AttemptId,
        /// `AttemptStarted` is recorded: after a crash it is re-attached rather than begun.
        started: bool,
    },
    /// An attempt to end; listed until its end is recorded.
    Stop {
        /// Which.
        id: AttemptId,
    },
    /// Evidence to collect.
    Probe {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
    },
    /// A moment to wait for.
    Timer {
        /// Which timer.
        timer: TimerId,
        /// When it is due.
        at: Timestamp,
    },
    /// The workspace to make.
    Workspace,
    /// A notice to deliver: the first of a channel. Listed also after the run's end.
    Notice {
        /// The channel.
        channel: String,
        /// The version of the event that it reports.
        version: Version,
        /// The notice.
        notice: String,
    },
    /// The slots that the run waits for.
    Slots,
    /// Counters of budgets to ask before an attempt starts; listed until they have room.
    Funds {
        /// The attempt.
        id: AttemptId,
        /// The event since which it asks: after a new period it asks again.
        since: Version,
    },
    /// A report to the counters of budgets. Listed also after the run's end.
    SpendReport {
        /// The version of the event that it follows from.
        version: Version,
    },
    /// `decide` stopped at a bound, or needs values loaded: it needs an `advance` input.
    Advance,
}

/// The part of a run that an event touched: whose effects may have changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touched {
    /// The run as a whole: its workspace, its agenda.
    Run,
    /// A step, or an item of one.
    Path(StepPath),
    /// A channel of notices.
    Channel(String),
}

impl Touched {
    /// Marks a step as a whole.
    #[must_use]
    pub fn step(step: &StepId) -> Self {
        Self::Path(StepPath::step(step))
    }
}
