//! What events of timers are made of. Frozen with them.

use serde::{Deserialize, Serialize};

use everfold_base::id::AttemptId;

/// One timer of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId {
    /// What it belongs to.
    pub id: AttemptId,
    /// What it is for.
    pub kind: TimerKind,
    /// Which one of its kind: a gate's name; of a reminder `blocked`, `signal` or a budget's name; else empty.
    pub name: String,
}

/// What belongs to budgets stands under this name, which no step can have.
pub(crate) const BUDGETS: &str = "$budget";
/// The name of the reminders of a step or item that is blocked.
const BLOCKED: &str = "blocked";
/// The name of the reminders of a signal that is awaited.
const SIGNAL: &str = "signal";

/// What people are reminded of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReminderOf<'a> {
    /// An approval or a question.
    Task,
    /// A step or item that is blocked.
    Blocked,
    /// A signal that is awaited.
    Signal,
    /// A budget that holds the run.
    Budget(&'a str),
}

impl ReminderOf<'_> {
    /// The name of its timers.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Task => "",
            Self::Blocked => BLOCKED,
            Self::Signal => SIGNAL,
            Self::Budget(budget) => budget,
        }
    }
}

impl TimerId {
    /// What a reminder is about; `None` of other timers.
    #[must_use]
    pub fn reminds_of(&self) -> Option<ReminderOf<'_>> {
        match (self.kind, self.name.as_str()) {
            (TimerKind::Reminder, budget) if self.id.path.step.as_str() == BUDGETS => {
                Some(ReminderOf::Budget(budget))
            }
            (TimerKind::Reminder, BLOCKED) => Some(ReminderOf::Blocked),
            (TimerKind::Reminder, SIGNAL) => Some(ReminderOf::Signal),
            (TimerKind::Reminder, _task) => Some(ReminderOf::Task),
            _others => None,
        }
    }
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// The pause before a retry.
    Retry,
    /// A `wait` step.
    Wait,
    /// The pause between two probes of a gate.
    Poll,
    /// The time limit of work inside the engine's process.
    Timeout,
    /// The time limit of a round.
    Deadline,
    /// The time limit of a question to people.
    Expiry,
    /// People are reminded of what waits for them: [`TimerId::reminds_of`].
    Reminder,
    /// The time limit of waiting for a signal.
    Signal,
    /// A budget's time is over, or its next period begins.
    Budget,
}
