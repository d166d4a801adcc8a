//! What went wrong with work, as a fact of the run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;

/// The code of a failure for want of a secret: nothing was started, and an automatic retry would fail the same
/// way. A step's `retry` covers it only where `only` names it.
pub const SECRET_CODE: &str = "SECRET";

/// The code of a failure to make a workspace for want of room on the disk. It is not recorded: what needs
/// the workspace waits until there is room.
pub const NO_ROOM_CODE: &str = "NO_ROOM";

/// The longest code.
const CODE_BYTES_MAX: usize = 64;

/// The most bytes of the texts of a failure that are recorded: a step's end, its own and the run's hold them once more.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const DETAIL_BYTES_MAX: usize = 128 * 1024;

/// A text with so many bytes at most.
#[must_use]
pub fn bounded_text(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The reason why work was lost, or gave no evidence, with as many bytes as are recorded at most.
#[must_use]
pub fn bounded_reason(reason: String) -> String {
    bounded_text(reason, MESSAGE_BYTES_MAX)
}

/// Whether a text may be the code of a failure: UPPER_CASE, so that it is never taken for a kind.
#[must_use]
pub fn is_code(text: &str) -> bool {
    text.len() <= CODE_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The closed set of kinds; integrations add their own [`Failure::code`] below a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The work said that it failed.
    Error,
    /// The process ended with another code than 0.
    Exit,
    /// The process was ended by a signal that Everfold did not send.
    Crash,
    /// A time limit passed.
    Timeout,
    /// The work vanished without a record.
    Lost,
    /// The work could not be started.
    Spawn,
    /// An output, an input or an expression was not what was declared.
    Validation,
    /// A gate failed and its route was `fail`.
    Gate,
    /// A person rejected.
    Rejected,
    /// A budget was exceeded.
    Budget,
    /// The work was cancelled.
    Cancelled,
    /// Something that the step needs failed.
    Dependency,
    /// Another one holds what the step needs.
    Conflict,
}

impl FailureKind {
    /// Every kind, in the order of the reference.
    pub const ALL: [Self; 13] = [
        Self::Error,
        Self::Exit,
        Self::Crash,
        Self::Timeout,
        Self::Lost,
        Self::Spawn,
        Self::Validation,
        Self::Gate,
        Self::Rejected,
        Self::Budget,
        Self::Cancelled,
        Self::Dependency,
        Self::Conflict,
    ];

    /// The word used in files, events and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Exit => "exit",
            Self::Crash => "crash",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Spawn => "spawn",
            Self::Validation => "validation",
            Self::Gate => "gate",
            Self::Rejected => "rejected",
            Self::Budget => "budget",
            Self::Cancelled => "cancelled",
            Self::Dependency => "dependency",
            Self::Conflict => "conflict",
        }
    }

    /// What a person can do next, where the failure itself has no better advice.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Error => "read the attempt's log; `retry` in the step makes the engine try again by itself",
            Self::Exit => "read the attempt's log; the last lines usually name the cause",
            Self::Crash => "a signal ended the process: look for memory limits or a bug in the program",
            Self::Timeout => "raise `timeout` of the step, or make the work smaller",
            Self::Lost => {
                "the work's end was not recorded: check its side effects, then decide on the blocked step, or retry the run where it is over"
            }
            Self::Spawn => "check that the program exists and may be executed",
            Self::Validation => "compare the output with what the step declares",
            Self::Gate => "read the gate's evidence; correct the work or the gate",
            Self::Rejected => "read the approver's comment",
            Self::Budget => "raise the budget or make the work cheaper",
            Self::Cancelled => "someone cancelled this work",
            Self::Dependency => "look at the step that this one needs",
            Self::Conflict => "wait for the other holder to end, or cancel it",
        }
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for FailureKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// The code of work for workers that none took within its time limit.
const NO_WORKER: &str = "NO_WORKER";

/// A failure as events hold it; step, round, attempt and time stand in the event around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// An integration's or the user's own code below the kind.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// More of it: the last lines of output, the failing path.
    pub detail: Option<String>,
    /// What to do next, where that is better than the kind's own hint.
    pub hint: Option<String>,
    /// The exit code, as a shell would show it (124 for a time limit).
    pub exit_code: Option<i32>,
}

impl Failure {
    /// A failure with no more than a kind and a message.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), detail: None, hint: None, exit_code: None }
    }

    /// The failure of work whose time limit passed.
    #[must_use]
    pub fn time_limit(limit: Duration) -> Self {
        let message = format!("the time limit of {} passed", duration::format(limit));
        Self { exit_code: Some(124), ..Self::new(FailureKind::Timeout, message) }
    }

    /// The failure of work for workers whose time limit passed before one took it; `function` is what a worker had to do.
    #[must_use]
    pub fn no_worker(limit: Duration, function: &str) -> Self {
        let message = format!("the time limit of {} passed, and no worker took it", duration::format(limit));
        let hint = format!("start a worker that does `{function}`, or give the step a longer `timeout`");
        let code = Some(NO_WORKER.to_owned());
        Self { code, exit_code: Some(124), hint: Some(hint), ..Self::new(FailureKind::Timeout, message) }
    }

    /// Whether it is that no worker took the work in time.
    #[must_use]
    pub fn is_no_worker(&self) -> bool {
        self.kind == FailureKind::Timeout && self.code.as_deref() == Some(NO_WORKER)
    }

    /// The same with texts of as many bytes as are recorded at most: work may say as much as it likes.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            code: self.code.map(|code| bounded_text(code, CODE_BYTES_MAX)),
            message: bounded_text(self.message, MESSAGE_BYTES_MAX),
            detail: self.detail.map(|detail| bounded_text(detail, DETAIL_BYTES_MAX)),
            hint: self.hint.map(|hint| bounded_text(hint, MESSAGE_BYTES_MAX)),
            ..self
        }
    }

    /// The same with advice of its own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with details.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The advice to show: its own, else the kind's.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.kind.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_failure_are_cut_between_letters_and_short_ones_stay() {
        let long = "é".repeat(200_000);
        let failure =
            Failure::new(FailureKind::Error, long.clone()).with_detail(long.clone()).with_hint(long);
        let bounded = Failure { code: Some("X".repeat(100)), ..failure }.bounded();
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        assert!(bounded.message.ends_with("é…") && bounded.message.len() <= MESSAGE_BYTES_MAX + 3);
        assert!(
            bytes(&bounded.detail) <= DETAIL_BYTES_MAX + 3 && bytes(&bounded.hint) <= MESSAGE_BYTES_MAX + 3
        );
        assert!(bytes(&bounded.code) <= CODE_BYTES_MAX + 3);
        let short = Failure::new(FailureKind::Error, "no").with_detail("because");
        assert_eq!(short.clone().bounded(), short);
    }
}
