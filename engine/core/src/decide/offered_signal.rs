//! A signal that is offered to the steps and the run, and what a route of `on_signal` does with it.

use super::preconditions::TEXT_BYTES_MAX;
use super::route::Next;
use super::scope::{RunScope, failure_value};
use crate::event::{Spent, UnblockDecision};
use crate::state::{Key, RunState};
use everfold_base::actor::Actor;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::Version;
use everfold_base::json::{Value, canonical};
use everfold_language::definition::Vote;
use everfold_language::expr::{EvalError, Loaded};
use serde_json::json;

/// A payload without a text field is a comment as a whole up to this size.
const LITTLE_BYTES: usize = 512;

/// A signal that is offered.
pub(super) struct OfferedSignal {
    pub(super) version: Version,
    pub(super) name: String,
    pub(super) payload: Value,
    pub(super) by: Actor,
}

impl OfferedSignal {
    /// Whether a person sent it: reworks that people cause are not limited.
    pub(super) fn is_by_person(&self) -> bool {
        matches!(self.by, Actor::User(_) | Actor::Token(_))
    }

    /// Whether a person may be behind it: neither another run nor a step's process, nor a schedule.
    pub(super) fn is_from_outside(&self) -> bool {
        self.is_by_person() || matches!(self.by, Actor::Hook(_))
    }

    /// What it says, in words.
    pub(super) fn text(&self) -> Option<String> {
        let mut text = match &self.payload {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => canonical(other),
        };
        text.truncate(fitting(&text).len());
        Some(text)
    }

    /// What it says to people: a text, or that of the fields in which services put one, or all of it where that is
    /// little. The rest of a delivery stands in the signal itself.
    pub(super) fn words(&self) -> Option<String> {
        const FIELDS: [&str; 4] = ["text", "comment", "body", "message"];
        let mut texts = FIELDS.iter().filter_map(|field| self.payload.get(field)?.as_str()).map(str::trim);
        let words = self.payload.as_str().or_else(|| texts.find(|words| !words.is_empty()));
        match words {
            Some(words) => Some(fitting(words).to_owned()),
            None => self.text().filter(|text| text.len() <= LITTLE_BYTES),
        }
    }

    /// The names of an expression that looks at it.
    pub(super) fn scope<'a>(&self, scope: RunScope<'a>) -> RunScope<'a> {
        let failure = failure_value(&self.failure());
        scope.with("signal", self.payload.clone()).with("actor", json!(self.by)).with("failure", failure)
    }

    /// The names of an expression of a step that looks at it.
    pub(super) fn scope_of_step<'a>(
        &self,
        state: &'a RunState,
        loaded: &'a Loaded,
        at: usize,
    ) -> Result<RunScope<'a>, EvalError> {
        let output = state.facts.steps[at].output.value(loaded)?;
        Ok(self.scope(RunScope::of(state, loaded, Key::step(at))).with("output", output))
    }

    pub(super) fn failure(&self) -> Failure {
        let text = self.text().map(|text| format!(": {}", text.chars().take(500).collect::<String>()));
        let message = format!("the signal “{}” says so{}", self.name, text.unwrap_or_default());
        Failure::new(FailureKind::Error, message)
    }
}

/// A text, cut at the limit of a comment.
pub(super) fn fitting(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a route of `on_signal` does.
pub(super) enum Act {
    Defer,
    /// Nothing; why, where the route does not simply say so.
    Ignore(Option<String>),
    /// Nothing, for the reason that the route gives.
    Refuse(String),
    Follow(Next),
    Vote {
        vote: Vote,
        comment: Option<String>,
    },
    Answer(Value),
    Recheck,
    Unblock(UnblockDecision),
    /// The run goes on that a breakpoint paused.
    Resume,
    /// The run's own budget of this name is raised.
    Raise {
        budget: String,
        add: Spent,
    },
}
