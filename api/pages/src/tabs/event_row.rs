//! One event as a row of the list.

use serde::Deserialize;
use serde_json::Value;

use super::address::address;
use super::event_line::event_line;
use crate::words::{self, encoded};

/// The flag of events that a fork copied from its origin.
const COPIED: u64 = 1;

/// The place of gates that were judged before the run began.
const ADMISSION: &str = "$admit";

/// An event as `GET /runs/{run}/events` gives it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EventFact {
    pub(crate) version: u64,
    pub(crate) position: u64,
    pub(crate) recorded_at: String,
    pub(crate) actor: String,
    #[serde(default)]
    pub(crate) flags: u64,
    #[serde(default)]
    pub(crate) schema: u64,
    #[serde(default)]
    pub(crate) hash: String,
    #[serde(default)]
    pub(crate) cause: EventCause,
    pub(crate) event: Value,
}

/// Why an event is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventCause {
    /// The input that it followed from.
    pub(crate) input: String,
    /// The version of the event that led to the input; 0: something from outside.
    pub(crate) because: u64,
}

/// Where in a run something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventPlace {
    /// The step, or an item of it.
    pub(crate) step: String,
    /// The step without the item.
    pub(crate) of_step: String,
    pub(crate) round: Option<u64>,
    pub(crate) attempt: Option<u64>,
}

impl EventPlace {
    fn of(event: &Value) -> Option<Self> {
        let id = if event["id"].is_object() { &event["id"] } else { &event["timer"]["id"] };
        let (path, round, attempt) = match (id["path"].is_object(), event["path"].is_object()) {
            (true, _) => (&id["path"], id["round"].as_u64(), id["attempt"].as_u64()),
            (false, true) => (&event["path"], event["round"].as_u64(), None),
            (false, false) => (&event["unblocked"]["path"], None, None),
        };
        let step = path["step"].as_str().or(event["step"].as_str()).or(event["target"].as_str())?;
        let item = path["item"].as_u64().map(|item| format!(".{item}")).unwrap_or_default();
        Some(Self { step: format!("{step}{item}"), of_step: step.to_owned(), round, attempt })
    }

    /// As people name it: `build.3 2.1`.
    pub(crate) fn words(&self) -> String {
        if self.step == ADMISSION {
            return "admission".to_owned();
        }
        match (self.round, self.attempt) {
            (Some(round), Some(attempt)) => format!("{} {round}.{attempt}", self.step),
            (Some(round), None) => format!("{} {round}", self.step),
            (None, _) => self.step.clone(),
        }
    }

    /// The run's page with the step selected.
    pub(crate) fn path(&self, run: &str) -> String {
        format!("/runs/{run}?step={}", encoded(&self.of_step))
    }

    /// The log of the attempt.
    pub(crate) fn log_path(&self, run: &str) -> Option<String> {
        if self.step == ADMISSION {
            return None;
        }
        let (round, attempt) = (self.round?.to_string(), self.attempt?.to_string());
        Some(address(
            &format!("/runs/{run}/log"),
            &[("step", &self.step), ("round", &round), ("attempt", &attempt)],
        ))
    }
}

/// An event as a row shows it.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) fact: EventFact,
    pub(crate) kind: String,
    pub(crate) place: Option<EventPlace>,
    /// What it says beyond its type and its place.
    pub(crate) line: String,
    /// Its whole JSON; none where the page would become too large.
    pub(crate) json: Option<String>,
    /// Whether it is the one that the address names.
    pub(crate) is_asked: bool,
}

impl EventRow {
    pub(crate) fn new(fact: EventFact) -> Self {
        let kind = fact.event["type"].as_str().unwrap_or("?").to_owned();
        let (place, line) = (EventPlace::of(&fact.event), event_line(&fact.event));
        Self { fact, kind, place, line, json: None, is_asked: false }
    }

    /// The class of its colour, and the sign beside it.
    pub(crate) fn tone(&self) -> (&'static str, &'static str) {
        let status = match (self.kind.as_str(), self.fact.event["verdict"].as_str()) {
            ("GateEvaluated", Some(verdict)) => verdict,
            ("AttemptStarted" | "RunStarted", _) => "running",
            ("AttemptSucceeded" | "StepSucceeded" | "RunSucceeded", _) => "succeeded",
            (
                "AttemptFailed" | "AttemptLost" | "StepFailed" | "RunFailed" | "ProbeFailed" | "NoticeFailed",
                _,
            ) => "failed",
            ("StepBlocked" | "BudgetExceeded" | "ReworkRequested", _) => "blocked",
            ("ApprovalRequested" | "QuestionAsked" | "TimerSet" | "RetryScheduled", _) => "waiting",
            ("RunPaused" | "BreakpointHit" | "RunHalted", _) => "paused",
            ("StepSkipped" | "StepCancelled" | "RunCancelled" | "RunAbandoned", _) => "cancelled",
            ("ApprovalDecided", _) if self.fact.event["decision"] == "approve" => "approved",
            ("ApprovalDecided", _) => "rejected",
            _other => "",
        };
        (words::tone(status), words::glyph(status))
    }

    /// Whether a fork took it over from its origin.
    pub(crate) fn is_copied(&self) -> bool {
        self.fact.flags & COPIED != 0
    }

    /// Its facts as text, for the one who wants all.
    pub(crate) fn whole(&self) -> String {
        crate::visible::visible(&serde_json::to_string_pretty(&self.fact.event).unwrap_or_default())
            .into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_is_named_as_the_command_line_names_it() {
        let of = |event: Value| EventPlace::of(&event).map(|place| place.words());
        let id = json!({"path": {"step": "build", "item": 3}, "round": 2, "attempt": 1});
        assert_eq!(of(json!({ "id": id })).as_deref(), Some("build.3 2.1"));
        assert_eq!(of(json!({ "timer": { "id": id } })).as_deref(), Some("build.3 2.1"));
        assert_eq!(of(json!({ "path": { "step": "build" }, "round": 2 })).as_deref(), Some("build 2"));
        assert_eq!(of(json!({ "target": "build" })).as_deref(), Some("build"));
        assert_eq!(of(json!({})), None);
    }
}
