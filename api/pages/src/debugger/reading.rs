//! What the debugger reads in events, for another face of it: that of the terminal.
//!
//! Law: both faces find the same events and give the same reasons, because this is the code of the pages.

use serde::Deserialize as _;
use serde_json::Value;

use super::event::{EventTone, PastEvent, is_decision};
use super::find::SearchTerms;
use super::why::{EventField, EventLink, EventReasons};

/// What is searched for among events: words, and fields as in `verdict=fail`; all must be true.
#[derive(Debug, Clone)]
pub struct EventSearch(SearchTerms);

impl EventSearch {
    /// Reads the text of a search field.
    ///
    /// # Errors
    /// What cannot be searched for, for its reader.
    pub fn read(text: &str) -> Result<Self, String> {
        SearchTerms::read(text).map(Self)
    }

    /// Whether all of it is true of an event of `GET /runs/{run}/events`.
    #[must_use]
    pub fn fits(&self, event: &Value) -> bool {
        PastEvent::deserialize(event).is_ok_and(|event| self.0.fits(&event))
    }
}

/// What an event is, beside its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventNature {
    /// The step that it is about.
    pub step: Option<String>,
    /// `run`, `work`, `gate`, `person`, `wait` or `trouble`: what its colour says.
    pub tone: &'static str,
    /// Whether a run may take one way or another there.
    pub is_decision: bool,
    /// Whether something failed there.
    pub is_failure: bool,
    /// The input that was decided on; all events of one decision have the same.
    pub input: String,
}

impl EventNature {
    /// Of an event of `GET /runs/{run}/events`.
    #[must_use]
    pub fn of(event: &Value) -> Self {
        let Ok(event) = PastEvent::deserialize(event) else {
            return Self {
                step: None,
                tone: "work",
                is_decision: false,
                is_failure: false,
                input: String::new(),
            };
        };
        let tone = event.tone();
        Self {
            step: event.step().map(str::to_owned),
            tone: tone.class(),
            is_decision: is_decision(event.kind()),
            // A rework and a retry follow a failure; they are none.
            is_failure: tone == EventTone::Trouble
                && !matches!(event.kind(), "ReworkRequested" | "RetryScheduled"),
            input: event.cause.input,
        }
    }
}

/// Why an event happened, in parts that have a head and lines.
///
/// `around` are events before and behind it, in order; `input` is the run's input, which policies read.
#[must_use]
pub fn reasons(event: &Value, around: &[&Value], input: &Value) -> Vec<(String, Vec<String>)> {
    let Ok(event) = PastEvent::deserialize(event) else { return Vec::new() };
    let around: Vec<PastEvent> =
        around.iter().filter_map(|event| PastEvent::deserialize(*event).ok()).collect();
    let why = EventReasons::of(&event, &around, input);
    let mut parts = vec![("What happened".to_owned(), vec![event.said()])];
    let mut part = |head: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            parts.push((head.to_owned(), lines));
        }
    };
    part("Ordered by", why.ordered.iter().map(linked).collect());
    part("Decided on", why.input.iter().map(linked).collect());
    if let Some(judged) = &why.judged {
        let policy = match &judged.default_of {
            Some(kind) => format!("the default policy of {kind}"),
            None => judged.policy.clone(),
        };
        part(&format!("Gate {}, policy", judged.gate), vec![policy]);
        part("The policy looked at", judged.looked_at.iter().flat_map(field).collect());
        part("Evidence", judged.evidence.lines().map(str::to_owned).collect());
    }
    part("Facts", why.facts.iter().flat_map(field).collect());
    part("Decided with it", why.together.iter().map(linked).collect());
    part("Led to", why.led_to.iter().map(linked).collect());
    parts
}

/// The version of the event that one followed from: the input that was decided on, else what ordered that; none: it came by
/// itself, or long after.
///
/// `around` are events before it, in order.
#[must_use]
pub fn followed_from(event: &Value, around: &[&Value]) -> Option<u64> {
    let event = PastEvent::deserialize(event).ok()?;
    let around: Vec<PastEvent> =
        around.iter().filter_map(|event| PastEvent::deserialize(*event).ok()).collect();
    let why = EventReasons::of(&event, &around, &Value::Null);
    why.input.or(why.ordered).map(|link| link.version)
}

fn linked(link: &EventLink) -> String {
    format!("{}  {}", link.version, link.said)
}

/// A field in one line, or its name and the lines of its value.
fn field(field: &EventField) -> Vec<String> {
    let mut lines = field.value.lines();
    match (lines.next(), field.value.lines().count()) {
        (Some(only), 1) => vec![format!("{}: {only}", field.name)],
        _many => std::iter::once(format!("{}:", field.name))
            .chain(field.value.lines().map(|line| format!("  {line}")))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(version: u64, event: Value) -> Value {
        json!({ "version": version, "recorded_at": "2026-11-26T15:49:23Z", "actor": "engine",
            "cause": { "input": format!("i{}", version / 2), "because": 1 }, "event": event })
    }

    #[test]
    fn an_event_is_read_as_the_pages_read_it() {
        let failed = event(
            4,
            json!({ "type": "GateEvaluated", "gate": "tests", "verdict": "fail",
            "policy": "evidence.exit == 0", "evidence": { "exit": 1 },
            "id": { "path": { "step": "build", "item": null }, "round": 1, "attempt": 1 } }),
        );
        let nature = EventNature::of(&failed);
        assert!(nature.is_failure && nature.is_decision && nature.tone == "trouble");
        assert_eq!(nature.step.as_deref(), Some("build"));
        assert!(EventSearch::read("verdict=fail step=build").expect("terms").fits(&failed));
        let parts = reasons(&failed, &[&failed], &Value::Null);
        let looked = parts.iter().find(|(head, _)| head == "The policy looked at").expect("a gate");
        assert_eq!(looked.1, ["evidence.exit: 1"]);
    }

    #[test]
    fn an_event_follows_from_its_input_and_that_from_its_order() {
        let id = json!({ "path": { "step": "build", "item": null }, "round": 1, "attempt": 1 });
        let events = [
            event(2, json!({ "type": "StepScheduled", "id": id })),
            event(4, json!({ "type": "AttemptStarted", "id": id })),
            event(6, json!({ "type": "AttemptFailed", "id": id })),
            event(7, json!({ "type": "RunFailed" })),
        ];
        let around: Vec<&Value> = events.iter().collect();
        let before = |at: usize| followed_from(&events[at], &around[..=at]);
        assert_eq!([before(3), before(2), before(1), before(0)], [Some(6), Some(4), Some(2), None]);
    }

    #[test]
    fn an_answer_of_another_shape_is_no_event_and_no_panic() {
        assert!(reasons(&json!(7), &[], &Value::Null).is_empty());
        assert_eq!(followed_from(&json!(7), &[]), None);
        assert_eq!(EventNature::of(&json!([])).step, None);
    }
}
