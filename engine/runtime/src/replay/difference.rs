//! Compares a recorded batch with the one that another definition leads to.

use crate::replay::decision::Undecided;
use crate::replay::redecide::as_now;
use everfold_base::json::Payload;
use everfold_core::decide::{Misfit, Refusal};
use everfold_core::event::RunEvent;
use serde_json::Value;

/// How a recorded batch ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchEnd {
    /// A fork may have cut it short.
    pub(crate) may_be_cut: bool,
    /// More follows by a later input, which is compared for itself.
    pub(crate) goes_on: bool,
}

/// What came of comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputComparison {
    Alike,
    Otherwise { message: String, recorded: Option<Box<RunEvent>>, decided: Option<Box<RunEvent>> },
    Unfit(Vec<Misfit>),
}

/// Compares what is recorded with what would be decided.
pub(crate) fn compared(
    recorded: &[RunEvent],
    decided: &Result<Vec<RunEvent>, Undecided>,
    end: BatchEnd,
) -> InputComparison {
    let decided = match decided {
        Ok(decided) => decided,
        Err(Undecided::Refused(Refusal::Unfit { misfits, .. })) => {
            return InputComparison::Unfit(misfits.clone());
        }
        Err(undecided) => {
            let (message, recorded) = (undecided.to_string(), recorded.first().cloned().map(Box::new));
            return InputComparison::Otherwise { message, recorded, decided: None };
        }
    };
    let (recorded, decided) = (news(recorded), news(decided));
    let mut at = recorded.iter().zip(&decided).position(|(was, is)| !is_same(was, is));
    if at.is_none() && recorded.len() != decided.len() {
        let is_beginning = recorded.len() < decided.len() && (end.may_be_cut || end.goes_on);
        at = (!is_beginning).then(|| recorded.len().min(decided.len()));
    }
    match at {
        None => InputComparison::Alike,
        Some(at) => {
            let (was, is) = (recorded.get(at).copied(), decided.get(at).copied());
            InputComparison::Otherwise {
                message: message(was, is),
                recorded: was.cloned().map(Box::new),
                decided: is.cloned().map(Box::new),
            }
        }
    }
}

/// What a batch says; that it was continued says nothing.
fn news(batch: &[RunEvent]) -> Vec<&RunEvent> {
    batch.iter().filter(|event| !matches!(event, RunEvent::Advanced(_))).collect()
}

/// Whether both say the same, but for which definition and which policy it was decided by.
fn is_same(recorded: &RunEvent, decided: &RunEvent) -> bool {
    let mut recorded = as_now(recorded, decided);
    match (&mut recorded, decided) {
        (RunEvent::RunStarted(was), RunEvent::RunStarted(is)) => was.definition = is.definition,
        (RunEvent::RunForked(was), RunEvent::RunForked(is)) => was.definition = is.definition,
        (RunEvent::GateEvaluated(was), RunEvent::GateEvaluated(is)) => {
            if was.verdict == is.verdict && was.policy != is.policy {
                // Without words of its own a policy's reason is its text.
                was.reason.clone_from(&is.reason);
            }
            was.policy.clone_from(&is.policy);
            (was.policy_hash, was.evaluator) = (is.policy_hash, is.evaluator);
            if without_source(&was.evidence).is_some()
                && without_source(&was.evidence) == without_source(&is.evidence)
            {
                was.evidence.clone_from(&is.evidence);
            }
        }
        _others => {}
    }
    recorded == *decided
}

/// Evidence without the text of the expression that was evaluated for it.
fn without_source(evidence: &Payload) -> Option<Value> {
    let mut found = evidence.text()?.value();
    found.as_object_mut()?.remove("source");
    Some(found)
}

fn message(recorded: Option<&RunEvent>, decided: Option<&RunEvent>) -> String {
    if let (Some(RunEvent::GateEvaluated(was)), Some(RunEvent::GateEvaluated(is))) = (recorded, decided)
        && was.gate == is.gate
        && was.verdict != is.verdict
    {
        return format!(
            "gate “{}” of step “{}” said {}; it would say {}: {}",
            was.gate, was.id.path, was.verdict, is.verdict, is.reason
        );
    }
    match (recorded, decided) {
        (Some(was), Some(is)) if subject(was) == subject(is) => {
            let others = other_fields(was, is).join(", ");
            format!("{} is recorded; {others} would be different in it", subject(was))
        }
        (Some(was), Some(is)) => format!("{} is recorded; {} would follow", subject(was), subject(is)),
        (Some(was), None) => format!("{} is recorded; nothing would follow there", subject(was)),
        (None, Some(is)) => format!("{} would follow, too", subject(is)),
        (None, None) => "nothing is different".to_owned(),
    }
}

/// An event's name, with the step that it is of.
fn subject(event: &RunEvent) -> String {
    let fields = serde_json::to_value(event).unwrap_or_default();
    let paths = [&fields["id"]["path"], &fields["path"], &fields["timer"]["id"]["path"]];
    let steps = paths.iter().map(|path| &path["step"]).chain([&fields["step"], &fields["target"]]);
    let step = steps.into_iter().find_map(Value::as_str);
    let item = paths.iter().find_map(|path| path["item"].as_u64());
    match (step, item) {
        (Some(step), Some(item)) => format!("{} of step “{step}.{item}”", event.name()),
        (Some(step), None) => format!("{} of step “{step}”", event.name()),
        (None, _) => event.name().to_owned(),
    }
}

/// The names of the fields in which two events differ.
fn other_fields(recorded: &RunEvent, decided: &RunEvent) -> Vec<String> {
    let fields = |event: &RunEvent| serde_json::to_value(event).unwrap_or_default();
    let (was, is) = (fields(recorded), fields(decided));
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let mut all = keys(&was);
    all.extend(keys(&is));
    all.sort_unstable();
    all.dedup();
    all.retain(|key| was[key] != is[key]);
    all
}
