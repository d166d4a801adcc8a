//! What was expected of a case beside what came.
//!
//! Law: a map names what must be there, and others may stand beside it; everything else is compared whole.

use everfold_engine::definition::Money;
use everfold_engine::definition::case::{CaseExpectation, ExpectedFailure};
use everfold_engine::duration;
use everfold_engine::failure::Failure;
use everfold_engine::json::Value;
use everfold_engine::policy::Verdict;
use everfold_engine::state::StepStatus;
use serde_json::json;
use std::time::Duration;

use super::outcome::{CaseEnd, CaseOutcome};
use super::verdict::CaseDifference;

/// The status of a run whose case names none.
const STATUS: &str = "succeeded";

/// What came otherwise than expected.
pub(super) fn differences(expect: &CaseExpectation, end: &CaseEnd<'_>) -> Vec<CaseDifference> {
    let mut found = Found::default();
    match (end, &expect.refused) {
        (CaseEnd::Refused { code, .. }, Some(wanted)) => found.same("refused", &json!(wanted), &json!(code)),
        (CaseEnd::Refused { code, message }, None) => {
            let wanted = expect.status.as_deref().unwrap_or(STATUS);
            found.differ("status", Some(json!(wanted)), Some(json!(format!("refused as {code}: {message}"))));
        }
        (CaseEnd::Ran(outcome), Some(wanted)) => {
            found.differ("refused", Some(json!(wanted)), Some(json!(outcome.status())));
        }
        (CaseEnd::Ran(outcome), None) => of_run(expect, outcome, &mut found),
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<CaseDifference>);

impl Found {
    fn differ(&mut self, path: &str, expected: Option<Value>, actual: Option<Value>) {
        self.0.push(CaseDifference { path: path.to_owned(), expected, actual });
    }

    /// Compares; a map of `expected` names what must be there.
    fn same(&mut self, path: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                for (name, expected) in expected {
                    let path = format!("{path}.{name}");
                    match actual.get(name) {
                        Some(actual) => self.same(&path, expected, actual),
                        None => self.differ(&path, Some(expected.clone()), None),
                    }
                }
            }
            (Value::Array(expected), Value::Array(actual)) => {
                for at in 0..expected.len().max(actual.len()) {
                    let path = format!("{path}[{at}]");
                    match (expected.get(at), actual.get(at)) {
                        (Some(expected), Some(actual)) => self.same(&path, expected, actual),
                        (expected, actual) => self.differ(&path, expected.cloned(), actual.cloned()),
                    }
                }
            }
            (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
            (expected, actual) if expected == actual => {}
            (expected, actual) => self.differ(path, Some(expected.clone()), Some(actual.clone())),
        }
    }
}

fn of_run(expect: &CaseExpectation, outcome: &CaseOutcome, found: &mut Found) {
    let state = &outcome.state;
    let status =
        expect.status.as_deref().unwrap_or(if expect.blocked.is_some() { "blocked" } else { STATUS });
    // Of an unexpected failure its reason is the news.
    let came = match (outcome.status().as_str() == status, state.failure()) {
        (false, Some((failure, _))) => format!("{}: {}", outcome.status(), failure.message),
        _known => outcome.status(),
    };
    found.same("status", &json!(status), &json!(came));
    if let Some(wanted) = &expect.failure {
        let actual = state.failure();
        failure(
            "failure",
            wanted,
            actual.map(|(failure, _)| failure),
            actual.and_then(|(_, path)| path).map(ToString::to_string),
            found,
        );
    }
    if let Some(wanted) = &expect.output {
        found.same("output", wanted, &outcome.output);
    }
    for (name, wanted) in &expect.labels {
        let actual = state.labels().get(name).map_or(Value::Null, |label| json!(label));
        found.same(&format!("labels.{name}"), wanted, &actual);
    }
    of_steps(expect, outcome, found);
    if let Some(wanted) = &expect.blocked {
        found.same("blocked", &json!(wanted), &json!(outcome.blocked()));
    }
    if let Some(wanted) = &expect.notices {
        let wanted: Vec<Value> = wanted
            .iter()
            .map(|notice| {
                let parts = [
                    ("notice", Some(json!(notice.notice))),
                    ("function", notice.function.as_ref().map(|name| json!(name))),
                    ("event", notice.event.as_ref().map(|name| json!(name))),
                    ("with", notice.with.clone()),
                ];
                parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
            })
            .collect();
        found.same("notices", &Value::Array(wanted), &Value::Array(outcome.notices.clone()));
    }
    if let Some(wanted) = expect.cost {
        let actual = Money(state.usage().cost_micros);
        found.same("cost", &json!(wanted.to_string()), &json!(actual.to_string()));
    }
    if let (Some(wanted), Some((_, started))) = (expect.took, state.started()) {
        let ended = state.ended_at().unwrap_or(state.last_at());
        let took = Duration::from_millis(u64::try_from(ended.0 - started.0).unwrap_or(0));
        // Timers are kept to the millisecond, and several add up.
        if took.abs_diff(wanted) >= Duration::from_secs(1) {
            let whole = Duration::from_secs(took.as_secs());
            found.differ("took", Some(json!(duration::format(wanted))), Some(json!(duration::format(whole))));
        }
    }
    let mut left = outcome.events.iter();
    if let Some(missing) = expect.events.iter().find(|wanted| !left.any(|name| name == wanted)) {
        let missing = format!("{missing}, after those before it");
        found.differ("events", Some(json!(missing)), None);
    }
}

fn of_steps(expect: &CaseExpectation, outcome: &CaseOutcome, found: &mut Found) {
    for (id, wanted) in &expect.steps {
        let Some((_, facts)) = outcome.state.step(id) else { continue };
        let path = |what: &str| format!("steps.{id}.{what}");
        if let Some(status) = &wanted.status {
            let actual = outcome.state.step_status(id).map_or("", StepStatus::as_str);
            found.same(&path("status"), &json!(status), &json!(actual));
        }
        if let Some(rounds) = wanted.rounds {
            found.same(&path("rounds"), &json!(rounds), &json!(facts.rounds_run));
        }
        if let Some(attempts) = wanted.attempts {
            let actual = outcome.attempts.get(id).copied().unwrap_or(0);
            found.same(&path("attempts"), &json!(attempts), &json!(actual));
        }
        if let Some(work) = &wanted.work {
            found.same(&path("work"), work, outcome.work.get(id).unwrap_or(&Value::Null));
        }
        if let Some(output) = &wanted.output {
            found.same(&path("output"), output, outcome.outputs.get(id).unwrap_or(&Value::Null));
        }
        if let Some(wanted) = &wanted.failure {
            let actual = facts.failure.as_ref().or(facts.unit.failure.as_ref());
            failure(&path("failure"), wanted, actual, None, found);
        }
    }
    for (id, gates) in &expect.gates {
        let Some((_, facts)) = outcome.state.step(id) else { continue };
        for (gate, wanted) in gates {
            let said = facts.gates.iter().find(|said| said.gate == *gate);
            let actual = said.map_or(Value::Null, |said| json!(Verdict::as_str(said.verdict)));
            found.same(&format!("gates.{id}.{gate}"), &json!(wanted), &actual);
        }
    }
}

fn failure(
    path: &str,
    wanted: &ExpectedFailure,
    actual: Option<&Failure>,
    step: Option<String>,
    found: &mut Found,
) {
    let part = |name: &str| format!("{path}.{name}");
    let Some(actual) = actual else {
        let wanted = wanted.message.clone().or(wanted.code.clone()).unwrap_or_else(|| "a failure".to_owned());
        return found.differ(path, Some(json!(wanted)), None);
    };
    if let Some(wanted) = &wanted.step {
        found.same(&part("step"), &json!(wanted), &json!(step));
    }
    if let Some(kind) = wanted.kind {
        found.same(&part("kind"), &json!(kind.as_str()), &json!(actual.kind.as_str()));
    }
    if let Some(code) = &wanted.code {
        found.same(&part("code"), &json!(code), &json!(actual.code));
    }
    if let Some(message) = &wanted.message {
        found.same(&part("message"), &json!(message), &json!(actual.message));
    }
}
