//! The events that routes follow, and which routes are a word alone.

use super::super::RouteTo;
use super::uses::ExprPlace;

/// The event that a route follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteCause {
    /// The failure of a gate.
    Gate,
    /// The failure of a step, that of its gates included.
    Failure,
    /// The failure of a step that people may reject.
    Rejection,
    /// The time limit of a gate's poll.
    Poll,
    /// The success of a step.
    Success,
    /// A rework after a success that is used up.
    SuccessUsedUp,
    /// The time limit of a wait or of a request to people.
    Over,
    /// A person's decision.
    Person,
    /// A signal.
    Signal,
}

impl RouteCause {
    /// Which names the expressions of its routes have.
    pub(super) fn place(self) -> ExprPlace {
        match self {
            Self::Signal => ExprPlace::Signal,
            // Nothing failed.
            Self::Success | Self::SuccessUsedUp => ExprPlace::Gate,
            Self::Gate | Self::Poll | Self::Failure | Self::Rejection | Self::Over | Self::Person => {
                ExprPlace::Route
            }
        }
    }

    /// The words that may stand alone as a route.
    pub(super) fn words(self) -> Vec<&'static str> {
        match self {
            Self::Signal => {
                vec!["approve", "reject", "changes", "recheck", "resume", "ignore", "block", "fail"]
            }
            Self::Gate | Self::Poll => vec!["next", "block", "fail"],
            Self::Success => vec!["continue"],
            Self::SuccessUsedUp | Self::Failure | Self::Rejection | Self::Over | Self::Person => {
                vec!["continue", "block", "fail"]
            }
        }
    }
}

/// The route that a word alone stands for.
pub(super) fn plain(word: &str) -> Option<RouteTo> {
    Some(match word {
        "continue" => RouteTo::Continue,
        "next" => RouteTo::Next,
        "block" => RouteTo::Block,
        "fail" => RouteTo::Fail { code: None, message: None, hint: None },
        "approve" => RouteTo::Approve,
        "reject" => RouteTo::Reject,
        "changes" => RouteTo::Changes,
        "recheck" => RouteTo::Recheck,
        "resume" => RouteTo::Resume,
        "ignore" => RouteTo::Ignore,
        _ => return None,
    })
}
