//! What the model asks of the routes, and what comes back.

use std::sync::Arc;

use serde_json::Value;

/// An attempt whose log is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoggedAttempt {
    /// With its item: `build.3`.
    pub(super) step: String,
    pub(super) round: u64,
    pub(super) attempt: u64,
    /// Its log is a conversation, which is made readable.
    pub(super) is_agent: bool,
}

impl LoggedAttempt {
    /// As people name it: `build 2.1`.
    pub(super) fn name(&self) -> String {
        format!("{} {}.{}", self.step, self.round, self.attempt)
    }
}

/// Which event is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventGoal {
    /// Where the run may take one way or another.
    Decision,
    /// Where something failed.
    Failure,
    /// Of the same step.
    OfStep(String),
    /// Where all that was typed is true.
    Text(String),
}

impl EventGoal {
    /// What is looked for, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Decision => "decision".to_owned(),
            Self::Failure => "failure".to_owned(),
            Self::OfStep(step) => format!("event of {step}"),
            Self::Text(text) => format!("event with “{text}”"),
        }
    }
}

/// What is asked of the routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DebugRequest {
    /// A part of the history.
    Events { from: u64, limit: u64 },
    /// The state at a version and at the one before.
    State { version: u64 },
    /// Why the run stood where it stood.
    Causes { version: u64 },
    /// What today's definition would decide on the input of a version.
    Today { version: u64 },
    /// The log of an attempt, followed.
    Log(LoggedAttempt),
    /// The nearest event, not counting `from` itself.
    Find { goal: EventGoal, from: u64, is_forward: bool },
    /// The version that a number or a time names.
    GoTo(String),
    /// Set or clear the breakpoint before a step.
    Breakpoint { step: String },
    /// A new run that goes on from a version.
    Fork { version: u64 },
}

/// A state and the one before.
#[derive(Debug, Clone)]
pub(super) struct StatePair {
    pub(super) version: u64,
    pub(super) before: Arc<Value>,
    pub(super) after: Arc<Value>,
}

/// What came.
#[derive(Debug, Clone)]
pub(super) enum DebugAnswer {
    Events {
        from: u64,
        limit: u64,
        items: Vec<Value>,
    },
    State(StatePair),
    Causes {
        version: u64,
        text: String,
    },
    Today {
        version: u64,
        lines: Vec<String>,
    },
    /// A record of the log that is followed.
    LogRecord {
        attempt: LoggedAttempt,
        record: Value,
    },
    /// The log has no more lines; `fault` says why, where that is not its end.
    LogEnd {
        attempt: LoggedAttempt,
        fault: Option<String>,
    },
    /// Where the event is; none: there is none up to `looked_to`.
    Found {
        request: DebugRequest,
        version: Option<u64>,
        looked_to: u64,
        is_all: bool,
    },
    /// The version that was meant.
    Meant {
        request: DebugRequest,
        version: u64,
    },
    /// The breakpoints of the run as they are now.
    Breakpoints {
        request: DebugRequest,
        steps: Vec<String>,
    },
    /// The run that was forked, and what shows it.
    Forked {
        request: DebugRequest,
        short_id: String,
        command: String,
    },
    /// The run recorded another event.
    Appended(Value),
    /// The run as it is now.
    Now {
        last: u64,
        is_ended: bool,
        breakpoints: Vec<String>,
    },
    /// The run recorded its last event.
    Ended,
    /// The run cannot be followed at the moment; it is tried again.
    Unfollowed(String),
    /// The route refused a request, or no server answered it (`is_away`).
    Refused {
        request: DebugRequest,
        why: String,
        is_away: bool,
    },
}
