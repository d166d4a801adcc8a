//! The ends of attempts that the timeline leaves open: those of runs that steps started, and those of work that ended
//! with its step or run.
//!
//! Law: nothing goes on in what has ended. An end that is not recorded is `ended`: neither good nor bad.

use std::collections::HashMap;

use serde::Deserialize;

use super::event::Event;
use super::facts::{FailureFacts, ParentFacts, RunFacts, StepFacts};
use super::spans::{AttemptEnd, AttemptFacts};
use crate::words::millis;

/// A run that a step started, as the list of runs has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EndedChild {
    pub(crate) status: String,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    pub(crate) parent: Option<ParentFacts>,
}

/// Whether events alone do not tell the ends of runs that steps started: the first ones were not read.
pub(crate) fn needs_runs(attempts: &[AttemptFacts], events: &[Event], run: &RunFacts) -> bool {
    let begins_later = events.first().is_none_or(|first| first.version > 1);
    begins_later && attempts.iter().any(|it| it.end.is_none() && it.is_run(run))
}

/// The attempts with their ends.
pub(crate) fn with_ends(
    mut attempts: Vec<AttemptFacts>,
    events: &[Event],
    started: &[EndedChild],
    run: &RunFacts,
) -> Vec<AttemptFacts> {
    let mut by_round: HashMap<(String, u64), Vec<usize>> = HashMap::new();
    let runs = attempts.iter().enumerate().filter(|(_, it)| it.end.is_none() && it.is_run(run));
    for (at, attempt) in runs {
        by_round.entry((attempt.step.clone(), u64::from(attempt.round))).or_default().push(at);
    }
    for event in events {
        let Some(place) = event.place() else { continue };
        let Some(open) = by_round.get(&(place.path, place.round)) else { continue };
        for at in open {
            let Some(attempt) = attempts.get_mut(*at) else { continue };
            if attempt.end.is_none() && (place.attempt == 0 || place.attempt == u64::from(attempt.attempt)) {
                apply(attempt, event);
            }
        }
    }
    for child in started {
        of_list(&mut attempts, child);
    }
    for attempt in attempts.iter_mut().filter(|it| it.end.is_none()) {
        with_its_step(attempt, run);
    }
    attempts
}

fn apply(attempt: &mut AttemptFacts, event: &Event) {
    let state = match event.kind() {
        "ChildStarted" => {
            attempt.started_at = Some(event.recorded_at.clone());
            return;
        }
        "ChildFinished" => None,
        "StepSucceeded" => Some("succeeded"),
        "StepFailed" => Some("failed"),
        "StepCancelled" => Some("cancelled"),
        _other => return,
    };
    let at = Some(event.text("ended_at")).filter(|at| !at.is_empty()).unwrap_or(&event.recorded_at);
    let failure: Option<FailureFacts> = serde_json::from_value(without_nulls(event.at("/failure"))).ok();
    let is_failure = failure.as_ref().is_some_and(|failure| !failure.kind.is_empty());
    attempt.end = Some(AttemptEnd { at: at.to_owned(), failure: failure.filter(|_| is_failure), log: None });
    attempt.ended_as = state;
}

/// Fields of events that say nothing are null; a fact leaves them out.
fn without_nulls(value: &serde_json::Value) -> serde_json::Value {
    let fields = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

/// The end of the attempt that started this run: the newest one before it.
fn of_list(attempts: &mut [AttemptFacts], child: &EndedChild) {
    let (Some(parent), Some(ended_at)) = (&child.parent, &child.ended_at) else { return };
    let Some(started) = millis(&child.started_at) else { return };
    let is_before = |it: &&mut AttemptFacts| {
        it.step == parent.step && millis(&it.scheduled_at).is_some_and(|scheduled| scheduled <= started)
    };
    let Some(attempt) = attempts.iter_mut().rev().find(is_before).filter(|it| it.end.is_none()) else {
        return;
    };
    attempt.started_at = Some(child.started_at.clone());
    attempt.end = Some(AttemptEnd { at: ended_at.clone(), ..AttemptEnd::default() });
    attempt.ended_as = match child.status.as_str() {
        "succeeded" => None,
        "cancelled" => Some("cancelled"),
        _ => Some("failed"),
    };
}

/// What went on when its step or the run ended did not go on.
fn with_its_step(attempt: &mut AttemptFacts, run: &RunFacts) {
    let step = run.step(&attempt.step);
    let is_former = step.is_some_and(|step| step.round > attempt.round);
    let end = match step {
        Some(step) if is_former => step.started_at.clone(),
        step => step.and_then(|step| step.ended_at.clone()).or_else(|| run.ended_at.clone()),
    };
    let Some(end) = end else { return };
    let is_own = |step: &&StepFacts| {
        !is_former
            && !attempt.step.contains('.')
            && step.attempt == attempt.attempt
            && step.ended_at.is_some()
    };
    attempt.ended_as = Some(match step.filter(is_own).map(|step| step.status.as_str()) {
        Some("succeeded") => "succeeded",
        Some("failed") => "failed",
        Some("cancelled") => "cancelled",
        _ => "ended",
    });
    attempt.end = Some(AttemptEnd { at: end, ..AttemptEnd::default() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: u32) -> String {
        format!("2026-11-22T15:00:{second:02}Z")
    }

    fn run(ended: Option<u32>, steps: Value) -> RunFacts {
        serde_json::from_value(json!({
            "id": "r", "short_id": "r", "pipeline": "p", "title": null, "version": 1, "steps": steps,
            "status": if ended.is_some() { "failed" } else { "running" }, "started_by": "user:ada",
            "started_at": at(0), "ended_at": ended.map(at),
        }))
        .unwrap()
    }

    fn attempt(step: &str, number: u32, from: u32) -> AttemptFacts {
        AttemptFacts {
            step: step.to_owned(),
            round: 1,
            attempt: number,
            kind: "run".to_owned(),
            scheduled_at: at(from),
            started_at: Some(at(from)),
            ..AttemptFacts::default()
        }
    }

    fn event(version: u64, second: u32, event: Value) -> Event {
        Event { version, recorded_at: at(second), actor: "engine".to_owned(), event }
    }

    fn id(item: u32, attempt: u32) -> Value {
        json!({"path": {"step": "each", "item": item}, "round": 1, "attempt": attempt})
    }

    fn states(attempts: &[AttemptFacts]) -> Vec<(String, &'static str, i64)> {
        attempts.iter().map(|it| (it.step.clone(), it.state(), it.took_ms(0) / 1000)).collect()
    }

    #[test]
    fn items_whose_work_is_a_run_end_with_it() {
        let failure = json!({"kind": "exit", "message": "child run failed", "code": null, "detail": null, "hint": "look"});
        let events = [
            event(1, 1, json!({"type": "ChildStarted", "id": id(0, 1), "child": "c0"})),
            event(2, 1, json!({"type": "ChildStarted", "id": id(1, 1), "child": "c1"})),
            event(3, 4, json!({"type": "ChildFinished", "id": id(0, 1), "ended_at": at(3), "failure": null})),
            event(
                4,
                6,
                json!({"type": "ChildFinished", "id": id(1, 1), "ended_at": at(5), "failure": failure}),
            ),
            event(5, 8, json!({"type": "StepCancelled", "path": {"step": "each", "item": 2}, "round": 1})),
        ];
        let attempts = [0, 1, 2, 3].map(|item| attempt(&format!("each.{item}"), 1, 0)).to_vec();
        let run = run(None, json!([{"id": "each", "kind": "foreach", "status": "running", "round": 1}]));
        let ended = with_ends(attempts, &events, &[], &run);
        assert_eq!(
            states(&ended),
            [
                ("each.0".to_owned(), "succeeded", 2),
                ("each.1".to_owned(), "failed", 4),
                ("each.2".to_owned(), "cancelled", 8),
                ("each.3".to_owned(), "running", 0),
            ]
        );
        let message =
            ended[1].end.as_ref().and_then(|end| end.failure.as_ref()).map(|it| it.message.as_str());
        assert_eq!(message, Some("child run failed"));
    }

    #[test]
    fn another_try_is_another_run() {
        let failure = json!({"kind": "exit", "message": "exit 1", "hint": ""});
        let events = [
            event(
                1,
                2,
                json!({"type": "ChildFinished", "id": id(0, 1), "ended_at": at(2), "failure": failure}),
            ),
            event(2, 7, json!({"type": "ChildFinished", "id": id(0, 2), "ended_at": at(7), "failure": null})),
        ];
        let attempts = vec![attempt("each.0", 1, 0), attempt("each.0", 2, 4)];
        let ended = with_ends(attempts, &events, &[], &run(None, json!([])));
        let states: Vec<&str> = ended.iter().map(AttemptFacts::state).collect();
        assert_eq!(states, ["failed", "succeeded"]);
    }

    #[test]
    fn runs_whose_events_were_not_read_end_as_the_list_says() {
        let child = |item: u32, started: u32, status: &str| EndedChild {
            status: status.to_owned(),
            started_at: at(started),
            ended_at: Some(at(started + 2)),
            parent: Some(ParentFacts { step: format!("each.{item}"), ..ParentFacts::default() }),
        };
        let attempts = vec![attempt("each.0", 1, 0), attempt("each.0", 2, 4), attempt("each.1", 1, 0)];
        let run = run(None, json!([]));
        let events = [event(900, 50, json!({"type": "Advanced"}))];
        assert!(needs_runs(&attempts, &events, &run));
        let started = [child(0, 5, "succeeded"), child(0, 1, "failed"), child(1, 1, "cancelled")];
        let ended = with_ends(attempts, &events, &started, &run);
        let states: Vec<&str> = ended.iter().map(AttemptFacts::state).collect();
        assert_eq!(states, ["failed", "succeeded", "cancelled"]);
    }

    #[test]
    fn nothing_goes_on_in_what_has_ended() {
        let steps = json!([
            {"id": "each", "kind": "foreach", "status": "failed", "round": 1, "attempt": 1, "ended_at": at(9)},
            {"id": "p", "kind": "run", "status": "failed", "round": 1, "attempt": 1, "ended_at": at(8)},
            {"id": "again", "kind": "run", "status": "running", "round": 2, "attempt": 1, "started_at": at(7)},
        ]);
        let attempts =
            vec![attempt("each.0", 1, 0), attempt("p", 1, 0), attempt("again", 1, 0), attempt("gone", 1, 0)];
        let ended = with_ends(attempts, &[], &[], &run(Some(10), steps));
        let words: Vec<(&str, i64)> = ended.iter().map(|it| (it.state(), it.took_ms(0) / 1000)).collect();
        assert_eq!(words, [("ended", 9), ("failed", 8), ("ended", 7), ("ended", 10)]);
    }
}
