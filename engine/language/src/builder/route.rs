//! Routes: what follows.

use serde_json::{Value, json};

use super::construct::{Construct as _, construct};
use super::value::{Data, Flag, Number, Text, Texts, Word};
use crate::definition::{Busy, FinishStatus, IfUnchanged};
use crate::words::UnblockDecision;

construct! {
    /// One route: where it leads, and when and how often it is taken.
    Route
    set {
        /// Taken only where this holds; in a list of routes the first that holds counts.
        when "when": Text;
        /// How often this rework may be taken in the run.
        max "max": Max;
        /// What follows when it is used up; without it the step is blocked.
        then "then": Route;
        /// The findings that the step gets instead of the ordinary ones.
        findings "findings": Text;
        /// The new round waits for a person.
        hold "hold": Flag;
        /// The held round comes on top of the target's `max_rounds`.
        extra "extra": Flag;
        /// Rounds behind the target that wait for a person begin without one.
        lift "lift": Flag;
        /// What a failure means whose evidence is that of the last one, instead of using up one of `max`.
        if_unchanged "if_unchanged": Word<IfUnchanged>;
        /// Of the pipeline's `on_signal`: the steps that the route stands for; their own routes come first.
        steps "steps": Texts;
        /// What a signal does that comes while an attempt runs.
        busy "busy": Word<Busy>;
    }
    also ["rework", "block", "fail", "continue", "next", "finish", "approve", "reject", "changes", "answer",
        "recheck", "unblock", "resume", "raise", "ignore", "refuse", "late"]
}

impl Route {
    fn to(key: &str, value: impl Into<Value>) -> Self {
        Self::empty().with_key(key, value)
    }

    /// The next round of a step, and of all that depends on it.
    pub fn rework(step: impl Into<String>) -> Self {
        Self::to("rework", step.into())
    }

    /// A person decides.
    pub fn block() -> Self {
        Self::to("block", true)
    }

    /// The run fails.
    pub fn fail() -> Self {
        Self::to("fail", true)
    }

    /// The run fails with a code of its own.
    pub fn fail_with(code: impl Into<String>, message: impl Into<Text>) -> Self {
        let message: Text = message.into();
        Self::to("fail", json!({ "code": code.into(), "message": Value::from(message) }))
    }

    /// The hint of [`Route::fail_with`]; elsewhere it has no meaning and is refused.
    pub fn hint(mut self, hint: impl Into<Text>) -> Self {
        let hint: Text = hint.into();
        match self.keys.get_mut("fail") {
            Some(Value::Object(fail)) => {
                fail.insert("hint".to_owned(), hint.into());
                self
            }
            Some(_) => self.with_key("fail", json!({ "hint": Value::from(hint) })),
            None => self.with_key("hint", hint),
        }
    }

    /// The run goes on past the step; its failure is tolerated.
    pub fn go_on() -> Self {
        Self::to("continue", true)
    }

    /// Of a gate: on to the next one; the failure is a warning.
    pub fn next() -> Self {
        Self::to("next", true)
    }

    /// The run ends now.
    pub fn finish(status: FinishStatus) -> Self {
        Self::to("finish", Word::from(status))
    }

    /// A signal approves the step's open task.
    pub fn approve() -> Self {
        Self::to("approve", true)
    }

    /// A signal rejects the step's open task.
    pub fn reject() -> Self {
        Self::to("reject", true)
    }

    /// A signal asks for changes to what the step's open task shows.
    pub fn changes() -> Self {
        Self::to("changes", true)
    }

    /// A signal answers the step's open question.
    pub fn answer(answer: impl Into<Data>) -> Self {
        let answer: Data = answer.into();
        Self::to("answer", answer)
    }

    /// A signal judges the step's gates again.
    pub fn recheck() -> Self {
        Self::to("recheck", true)
    }

    /// A signal decides what a person would decide about a blocked step.
    pub fn unblock(decision: UnblockDecision) -> Self {
        Self::to("unblock", Word::from(decision))
    }

    /// A signal lets the run go on that a breakpoint paused: in the pipeline's own `on_signal`.
    pub fn resume() -> Self {
        Self::to("resume", true)
    }

    /// A signal raises the money of the run's own budget that is used up, such as by `"5.00 USD"`; what it holds or has
    /// stopped goes on: in the pipeline's own `on_signal`.
    pub fn raise(by: impl Into<Text>) -> Self {
        let by: Text = by.into();
        Self::to("raise", by)
    }

    /// A signal is recorded only.
    pub fn ignore() -> Self {
        Self::to("ignore", true)
    }

    /// A signal is refused: recorded with this reason, and nothing follows.
    pub fn refuse(reason: impl Into<Text>) -> Self {
        let reason: Text = reason.into();
        Self::to("refuse", reason)
    }

    /// A signal that comes when the run has ended is refused: recorded with this reason, so that notices tell of it. In
    /// the pipeline's own `on_signal`.
    pub fn late(reason: impl Into<Text>) -> Self {
        let reason: Text = reason.into();
        Self::to("late", reason)
    }
}

/// One route, or several with `when` of which the first that holds counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Routes(Value);

impl From<Routes> for Value {
    fn from(routes: Routes) -> Self {
        routes.0
    }
}

impl From<Route> for Routes {
    fn from(route: Route) -> Self {
        Self(route.into())
    }
}

impl<const N: usize> From<[Route; N]> for Routes {
    fn from(routes: [Route; N]) -> Self {
        Self(routes.into_iter().map(Value::from).collect())
    }
}

impl From<Vec<Route>> for Routes {
    fn from(routes: Vec<Route>) -> Self {
        Self(routes.into_iter().map(Value::from).collect())
    }
}

/// How often a rework may be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Max(Value);

impl Max {
    /// As often as it comes; only where a person or a limit of rounds stands in the loop.
    #[must_use]
    pub fn unlimited() -> Self {
        Self("unlimited".into())
    }
}

impl<T: Into<Number>> From<T> for Max {
    fn from(times: T) -> Self {
        let times: Number = times.into();
        Self(times.into())
    }
}

impl From<Max> for Value {
    fn from(max: Max) -> Self {
        max.0
    }
}
