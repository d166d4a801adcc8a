//! Which event of a run ordered what another one reports.
//!
//! An input records the version that it was decided on, which is the newest one then and need not have to do with it:
//! in parallel steps it is mostly another step's. What ordered it is known by its own name: an attempt, a gate, a timer.

use serde_json::Value;

use super::event::PastEvent;

/// The types of events that may have ordered one of a type, the nearest first, and the field that both have in common;
/// an empty one: there is one such thing in a run.
fn orders(kind: &str) -> Option<(&'static [&'static str], &'static str)> {
    Some(match kind {
        "AttemptStarted" | "FundsRequested" => (&["StepScheduled", "RetryScheduled"], "id"),
        "AttemptSucceeded" | "AttemptFailed" | "AttemptLost" | "AttemptAsked" | "UsageRecorded"
        | "ChildStarted" | "ChildFinished" | "ProgressReported" | "WorktreeReset" => {
            (&["AttemptStarted", "RetryScheduled", "StepScheduled"], "id")
        }
        "FundsGranted" | "FundsAnswered" => (&["FundsRequested"], "id"),
        "GateEvaluated" | "ProbeFailed" => (&["ProbeScheduled"], "id"),
        "VoteCast" | "ApprovalDecided" => (&["ApprovalRequested"], "id"),
        "AnswerSaved" | "QuestionAnswered" => (&["QuestionAsked", "AttemptAsked"], "id"),
        "TimerFired" => (&["TimerSet", "RetryScheduled", "ProbeScheduled"], "timer"),
        "RunUnblocked" => (&["StepBlocked"], ""),
        "RunResumed" => (&["RunPaused", "BreakpointHit"], ""),
        "RunReleased" => (&["RunHalted"], ""),
        "RunAdmitted" => (&["RunQueued"], ""),
        "WorkspacePrepared" | "WorkspaceShared" => (&["RunStarted", "RunAdmitted"], ""),
        "StepCancelled" => (&["StepCancelRequested", "CancelRequested"], ""),
        "NoticeSent" | "NoticeFailed" => (&["NoticeQueued"], ""),
        _of_itself => return None,
    })
}

/// The event that ordered what this one reports, among those that are at hand; a person's input has none but what it
/// answers.
pub(crate) fn ordered_by<'a>(event: &PastEvent, others: &'a [PastEvent]) -> Option<&'a PastEvent> {
    let (kinds, field) = orders(event.kind())?;
    let fits = |other: &PastEvent| match field {
        "id" => {
            same_attempt(&other.event["id"], &event.event["id"])
                && (event.kind() != "GateEvaluated" && event.kind() != "ProbeFailed"
                    || other.gate() == event.gate())
        }
        "timer" => {
            let timer = &event.event["timer"];
            other.event["timer"] == *timer
                || (!other.event["id"].is_null() && same_attempt(&other.event["id"], &timer["id"]))
        }
        _of_run => true,
    };
    let before = || others.iter().rev().filter(|other| other.version < event.version);
    kinds.iter().find_map(|kind| before().find(|other| other.kind() == *kind && fits(other)))
}

fn same_attempt(one: &Value, other: &Value) -> bool {
    ["path", "round", "attempt"].iter().all(|field| one[field] == other[field])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(version: u64, kind: &str, step: &str, gate: Option<&str>) -> PastEvent {
        let id = json!({ "path": { "step": step, "item": null }, "round": 1, "attempt": 1 });
        serde_json::from_value(json!({
            "version": version, "recorded_at": "", "actor": "engine", "cause": { "input": "x", "because": 1 },
            "event": { "type": kind, "id": id, "gate": gate },
        }))
        .expect("the shape of an event")
    }

    #[test]
    fn an_end_is_of_its_own_attempt_and_not_of_the_one_beside_it() {
        let events = [
            event(1, "AttemptStarted", "a", None),
            event(2, "StepScheduled", "b", None),
            event(3, "AttemptSucceeded", "a", None),
        ];
        assert_eq!(ordered_by(&events[2], &events).map(|event| event.version), Some(1));
    }

    #[test]
    fn a_verdict_is_of_its_own_gate() {
        let events = [
            event(1, "ProbeScheduled", "a", Some("x")),
            event(2, "ProbeScheduled", "a", Some("y")),
            event(3, "GateEvaluated", "a", Some("x")),
        ];
        assert_eq!(ordered_by(&events[2], &events).map(|event| event.version), Some(1));
        assert!(ordered_by(&events[0], &events).is_none());
    }
}
