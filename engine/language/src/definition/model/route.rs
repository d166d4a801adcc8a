//! What follows a failure, a success or a signal.

use serde::{Deserialize, Serialize};

use super::money::Money;
use super::setting::Setting;
use crate::expr::{Expr, Template};
use crate::words::{FinishStatus, UnblockDecision};
use everfold_base::id::StepId;

/// What follows: the first route whose `when` holds; none that holds: fail, after a success continue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Routes(pub Vec<Route>);

impl Routes {
    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Whether it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Where it leads.
    pub to: RouteTo,
    /// How often it may be used in the run; `None`: three times, and as often as people cause it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<RouteMax>,
    /// What follows when it is used up; `None`: block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<Route>>,
    /// The findings that the reworked step gets, instead of the default ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Template>,
    /// The new round waits for a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// The held round comes on top of the target's `max_rounds`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extra: bool,
    /// Of a signal or a decision: rounds behind the target that wait for a person begin in their turn, without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lift: bool,
    /// What a failure on unchanged evidence means; `None`: it uses up one of `max`, like any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_unchanged: Option<IfUnchanged>,
    /// What becomes of a signal while work executes.
    #[serde(default, skip_serializing_if = "Busy::is_defer")]
    pub busy: Busy,
}

/// What a failure means whose evidence is as at the gate's last failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfUnchanged {
    /// A person decides at once.
    Block,
}

/// What becomes of a signal while an attempt of its step executes; on the run's level: any attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Busy {
    /// It is taken up when the attempt ended, before gates and routes; of each name the newest.
    #[default]
    Defer,
    /// The attempt is stopped for it.
    Interrupt,
    /// It is recorded only.
    Ignore,
}

impl Busy {
    fn is_defer(&self) -> bool {
        *self == Self::Defer
    }
}

impl Route {
    /// A route without modifiers.
    #[must_use]
    pub fn to(to: RouteTo) -> Self {
        Self {
            when: None,
            to,
            max: None,
            then: None,
            findings: None,
            hold: false,
            extra: false,
            lift: false,
            if_unchanged: None,
            busy: Busy::Defer,
        }
    }
}

/// How often a route may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteMax {
    /// So many times; fixed at the first use.
    Times(Setting<u32>),
    /// As often as it comes.
    Unlimited,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTo {
    /// The run goes on past the step: where it failed, it ends failed but tolerated.
    Continue,
    /// Of a gate: on to the next one; the failure is a warning.
    Next,
    /// The next round of a step, and of all that depends on it.
    Rework(StepId),
    /// A person decides.
    Block,
    /// The run fails.
    Fail {
        /// An own code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// An own message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Template>,
        /// An own hint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<Template>,
    },
    /// The run ends now.
    Finish(FinishStatus),
    /// A signal approves the step's open question.
    Approve,
    /// A signal rejects the step's open question.
    Reject,
    /// A signal wants changes at the step's open question.
    Changes,
    /// A signal answers the step's open question.
    Answer(Template),
    /// A signal has all gates of the step judged again.
    Recheck,
    /// A signal decides on the blocked step.
    Unblock(UnblockDecision),
    /// A signal lets the run go on that a breakpoint paused.
    Resume,
    /// A signal raises the money of the run's own budget that is used up; what it holds or has stopped goes on.
    Raise(Setting<Money>),
    /// A signal is recorded only.
    Ignore,
    /// A signal is refused: recorded with why, and nothing follows.
    Refuse(Template),
    /// A signal that comes when the run has ended is refused: recorded with why, so that notices tell of it.
    Late(Template),
}
