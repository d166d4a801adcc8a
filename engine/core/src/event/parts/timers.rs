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
    /// Which one of its kind: a gate's name, else empty.
    pub name: String,
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
    /// People are reminded of a question.
    Reminder,
    /// The time limit of waiting for a signal.
    Signal,
    /// A budget's time is over, or its next period begins.
    Budget,
}
