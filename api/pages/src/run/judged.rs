//! The verdicts of gates on a step, as its panel lists them.

use serde_json::Value;

use super::event::{Event, StepPlace};
use super::facts::StepFacts;
use crate::visible::visible;

/// Verdicts that are listed; the newest.
const ROWS_MAX: usize = 40;

/// A verdict of a gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judged {
    pub(crate) gate: String,
    pub(crate) instance: String,
    pub(crate) probe_no: u64,
    pub(crate) verdict: String,
    pub(crate) is_tolerated: bool,
    pub(crate) reason: String,
    pub(crate) evidence: String,
    pub(crate) policy: String,
    pub(crate) at: String,
    /// How often in a row it said the same.
    pub(crate) asked: usize,
}

/// The verdicts on a step or item; where a try was chosen, those on it.
pub(crate) fn judged(events: &[&Event], path: &str, chosen: Option<&str>, step: &StepFacts) -> Vec<Judged> {
    let is_of_chosen = |place: &StepPlace| {
        chosen.is_none_or(|chosen| format!("{}.{}", place.round, place.attempt) == chosen)
    };
    let own = events.iter().rev().filter(|event| {
        let is_own = |place: &StepPlace| place.path == path || place.step() == path;
        event.kind() == "GateEvaluated"
            && event.place().is_some_and(|place| is_own(&place) && is_of_chosen(&place))
    });
    let found = own.map(|event| Judged {
        gate: event.text("gate").to_owned(),
        instance: event.place().map(|place| format!("{}.{}", place.round, place.attempt)).unwrap_or_default(),
        probe_no: event.number("probe_no").unwrap_or(1),
        verdict: event.text("verdict").to_owned(),
        is_tolerated: event.event.get("tolerated") == Some(&Value::Bool(true)),
        reason: visible(event.text("reason")).into_owned(),
        evidence: evidence(event.at("/evidence")),
        policy: event.text("policy").to_owned(),
        at: event.recorded_at.clone(),
        asked: 1,
    });
    let found = once_each(found);
    if !found.is_empty() || chosen.is_some_and(|chosen| chosen != step.instance()) {
        return found;
    }
    let known = step.gates.iter().map(|gate| Judged {
        gate: gate.gate.clone(),
        instance: step.instance(),
        probe_no: u64::from(gate.probe_no),
        verdict: gate.verdict.clone(),
        is_tolerated: gate.tolerated,
        reason: gate.reason.clone(),
        ..Judged::default()
    });
    known.collect()
}

/// Verdicts that say the same in a row, as those of a gate that polls, are one: the newest of them.
fn once_each(verdicts: impl Iterator<Item = Judged>) -> Vec<Judged> {
    let mut found: Vec<Judged> = Vec::new();
    for one in verdicts {
        let same = |it: &&mut Judged| {
            it.verdict == "pending"
                && (&it.gate, &it.instance, &it.verdict, &it.reason)
                    == (&one.gate, &one.instance, &one.verdict, &one.reason)
        };
        match found.last_mut().filter(same) {
            Some(newer) => newer.asked += 1,
            None => found.push(one),
        }
        if found.len() > ROWS_MAX {
            found.pop();
            break;
        }
    }
    found
}

/// What a gate looked at, in one line: what a program said, else the whole.
fn evidence(evidence: &Value) -> String {
    let text = |key: &str| evidence.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let line = match (text("output"), text("value")) {
        (Some(output), _) => {
            output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
        }
        (None, Some(value)) => value.to_owned(),
        (None, None) if evidence.is_null() => String::new(),
        (None, None) => {
            let mut shown = evidence.clone();
            if let Some(fields) = shown.as_object_mut() {
                fields.remove("source");
            }
            shown.to_string()
        }
    };
    visible(&line).chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(event: Value) -> Event {
        Event {
            version: 1,
            recorded_at: "2026-11-22T15:00:00Z".to_owned(),
            actor: "engine".to_owned(),
            event,
        }
    }

    #[test]
    fn evidence_is_the_last_line_of_what_a_program_said() {
        assert_eq!(
            evidence(&json!({"exit": 1, "output": "a\n5 passed, 2 failed\n\n"})),
            "5 passed, 2 failed"
        );
        assert_eq!(evidence(&json!({"ok": true, "source": {"function": "x"}})), "{\"ok\":true}");
        assert_eq!(evidence(&Value::Null), "");
    }

    #[test]
    fn the_verdicts_are_those_on_the_chosen_try() {
        let verdict = |round: u64| {
            let id = json!({"path": {"step": "test", "item": null}, "round": round, "attempt": 1});
            event(json!({"type": "GateEvaluated", "id": id, "gate": "g", "verdict": "pass"}))
        };
        let (one, two) = (verdict(1), verdict(2));
        let rounds = |chosen: Option<&str>| {
            let found = judged(&[&one, &two], "test", chosen, &StepFacts::default());
            found.into_iter().map(|it| it.instance).collect::<Vec<_>>()
        };
        assert_eq!(rounds(None), ["2.1", "1.1"]);
        assert_eq!(rounds(Some("1.1")), ["1.1"]);
        assert!(rounds(Some("3.1")).is_empty());
    }

    #[test]
    fn a_gate_that_polls_is_listed_once_for_verdicts_that_say_the_same() {
        let verdict = |verdict: &str| {
            let id = json!({"path": {"step": "ci", "item": null}, "round": 1, "attempt": 1});
            event(json!({"type": "GateEvaluated", "id": id, "gate": "g", "verdict": verdict}))
        };
        let events = [verdict("pending"), verdict("pending"), verdict("pending"), verdict("pass")];
        let found = judged(&events.iter().collect::<Vec<_>>(), "ci", None, &StepFacts::default());
        let rows: Vec<_> = found.iter().map(|it| (it.verdict.as_str(), it.asked)).collect();
        assert_eq!(rows, [("pass", 1), ("pending", 3)]);
    }
}
