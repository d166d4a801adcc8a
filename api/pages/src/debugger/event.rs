//! One event of a run, as the debugger and the comparison of runs read it.

use serde::Deserialize;
use serde_json::Value;

use crate::tabs::event_line;
use crate::visible::visible;

/// An event as `GET /runs/{run}/events` lists it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PastEvent {
    pub(crate) version: u64,
    pub(crate) recorded_at: String,
    pub(crate) actor: String,
    pub(crate) cause: EventInput,
    #[serde(default)]
    pub(crate) position: u64,
    #[serde(default)]
    pub(crate) hash: String,
    /// What happened: `type` and the fields of that type.
    pub(crate) event: Value,
}

/// What led to an event.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct EventInput {
    /// The input that was decided on; all events of one decision have the same.
    pub(crate) input: String,
}

/// What an event is about, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EventTone {
    /// The run itself.
    Run,
    /// Work of a step.
    Work,
    /// Gates and evidence.
    Gate,
    /// People, and what they are asked.
    Person,
    /// Time, money and places that are waited for.
    Wait,
    /// Something failed, or goes round again.
    Trouble,
}

impl EventTone {
    /// All of them, in the order of the legend.
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Run, "run"),
        (Self::Work, "work"),
        (Self::Gate, "gates"),
        (Self::Person, "people"),
        (Self::Wait, "waiting"),
        (Self::Trouble, "failures and rework"),
    ];

    /// The end of its class.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Work => "work",
            Self::Gate => "gate",
            Self::Person => "person",
            Self::Wait => "wait",
            Self::Trouble => "trouble",
        }
    }

    /// Of an event's type alone.
    pub(crate) fn of_kind(kind: &str) -> Self {
        match kind {
            "AttemptFailed" | "AttemptLost" | "StepFailed" | "StepBlocked" | "ProbeFailed"
            | "ReworkRequested" | "RunFailed" | "BudgetExceeded" | "NoticeFailed" | "RetryScheduled" => {
                Self::Trouble
            }
            "GateEvaluated" | "ProbeScheduled" | "RecheckRequested" => Self::Gate,
            "ApprovalRequested"
            | "VoteCast"
            | "ApprovalDecided"
            | "QuestionAsked"
            | "AnswerSaved"
            | "QuestionAnswered"
            | "AttemptAsked"
            | "RunUnblocked"
            | "NoteAdded"
            | "SignalReceived"
            | "SignalTaken"
            | "BreakpointsSet"
            | "BreakpointHit"
            | "BudgetRaised"
            | "CancelRequested"
            | "StepCancelRequested" => Self::Person,
            "TimerSet" | "TimerFired" | "RunQueued" | "RunPaused" | "RunResumed" | "RunHalted"
            | "RunReleased" | "FundsRequested" | "FundsGranted" | "FundsAnswered" | "SpendReported"
            | "BudgetPeriodBegan" | "BudgetsOpened" | "UsageRecorded" | "ClockRead" => Self::Wait,
            other
                if other.starts_with("Run")
                    || other.starts_with("Workspace")
                    || other.starts_with("Notice") =>
            {
                Self::Run
            }
            _work => Self::Work,
        }
    }
}

/// Whether an event of this type is a decision: where a run may take one way or another.
pub(crate) fn is_decision(kind: &str) -> bool {
    matches!(
        kind,
        "GateEvaluated"
            | "ApprovalDecided"
            | "QuestionAnswered"
            | "ReworkRequested"
            | "RetryScheduled"
            | "StepSkipped"
            | "StepBlocked"
            | "StepFailed"
            | "RunUnblocked"
            | "RecheckRequested"
            | "BudgetExceeded"
            | "RunFailed"
            | "RunSucceeded"
            | "RunCancelled"
            | "SignalTaken"
            | "CancelRequested"
    )
}

/// The words of a name like `StepSkipped`: `step skipped`.
pub(crate) fn spaced(kind: &str) -> String {
    let mut text = String::new();
    for character in kind.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(character.to_lowercase());
    }
    text
}

impl PastEvent {
    /// The name of its type.
    pub(crate) fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap_or("Unreadable")
    }

    /// A text of it.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.event[field].as_str().filter(|text| !text.is_empty())
    }

    /// The step that it is about.
    pub(crate) fn step(&self) -> Option<&str> {
        let event = &self.event;
        let named = [
            &event["id"]["path"]["step"],
            &event["path"]["step"],
            &event["step"],
            &event["target"],
            &event["timer"]["id"]["path"]["step"],
        ];
        named.into_iter().find_map(Value::as_str)
    }

    /// The step as people name it, with the item of a `foreach`: `build.3`.
    pub(crate) fn place(&self) -> String {
        let Some(step) = self.step() else { return String::new() };
        let items = [&self.event["id"]["path"]["item"], &self.event["path"]["item"]];
        match items.into_iter().find_map(Value::as_u64) {
            Some(item) => format!("{step}.{item}"),
            None => step.to_owned(),
        }
    }

    /// The round and the attempt: `2.1`.
    pub(crate) fn turn(&self) -> String {
        let id = if self.event["id"].is_object() { &self.event["id"] } else { &self.event["timer"]["id"] };
        match (id["round"].as_u64().or_else(|| self.event["round"].as_u64()), id["attempt"].as_u64()) {
            (Some(round), Some(attempt)) => format!("{round}.{attempt}"),
            (Some(round), None) => round.to_string(),
            _none => String::new(),
        }
    }

    /// The gate that it is about.
    pub(crate) fn gate(&self) -> Option<&str> {
        self.text("gate")
    }

    /// The verdict of a gate, or what people decided.
    pub(crate) fn verdict(&self) -> Option<&str> {
        self.text("verdict").or_else(|| self.text("decision"))
    }

    /// What it is about, for its colour; a verdict that is not `pass` is trouble.
    pub(crate) fn tone(&self) -> EventTone {
        match self.verdict() {
            Some("fail" | "reject" | "changes") => EventTone::Trouble,
            _other => EventTone::of_kind(self.kind()),
        }
    }

    /// What happened, in a few words, without the step.
    pub(crate) fn said(&self) -> String {
        let line = match self.text("findings") {
            Some(findings) => {
                let mut event = self.event.clone();
                event["findings"] = once(findings).into();
                event_line(&event)
            }
            None => event_line(&self.event),
        };
        let said = match self.began() {
            (begin, _) if line.is_empty() => begin,
            (begin, LineJoin::Nothing) => begin,
            (begin, LineJoin::Blank) => format!("{begin} {line}"),
            (begin, LineJoin::Colon) => format!("{begin}: {line}"),
        };
        visible(&said).into_owned()
    }

    /// The words in front of what the event says, and how that is joined to them.
    fn began(&self) -> (String, LineJoin) {
        let attempt = self.event["id"]["attempt"].as_u64().unwrap_or(1);
        let round = self.event["id"]["round"].as_u64().unwrap_or(1);
        let timer = self.event["timer"]["kind"].as_str().unwrap_or("timer");
        let begin = match self.kind() {
            "StepScheduled" => return (format!("round {round} begins"), LineJoin::Nothing),
            "AttemptStarted" => return (format!("attempt {attempt} starts"), LineJoin::Nothing),
            "TimerSet" => return (format!("{timer} is set"), LineJoin::Nothing),
            "TimerFired" => return (format!("{timer} is over"), LineJoin::Nothing),
            "GateEvaluated" => return ("gate".to_owned(), LineJoin::Blank),
            "ReworkRequested" => return ("goes into".to_owned(), LineJoin::Blank),
            "AttemptSucceeded" => format!("attempt {attempt} ended well"),
            "AttemptFailed" => format!("attempt {attempt} failed"),
            "AttemptLost" => format!("attempt {attempt} was lost"),
            "AttemptAsked" => format!("attempt {attempt} asks people"),
            "RetryScheduled" => format!("attempt {attempt} is to follow"),
            "StepSucceeded" => "succeeded".to_owned(),
            "StepFailed" => "failed".to_owned(),
            "StepBlocked" => "blocked".to_owned(),
            "StepSkipped" => "skipped".to_owned(),
            "StepCancelled" => "cancelled".to_owned(),
            "ProbeScheduled" => "evidence is asked for".to_owned(),
            "ProbeFailed" => "no evidence".to_owned(),
            "ApprovalRequested" => "people are asked".to_owned(),
            "QuestionAsked" => "a question".to_owned(),
            "VoteCast" => "a vote".to_owned(),
            "ApprovalDecided" => "decided".to_owned(),
            "UsageRecorded" => "usage".to_owned(),
            "RunStarted" => "the run starts".to_owned(),
            "RunFailed" => "the run failed".to_owned(),
            "SignalReceived" => "signal".to_owned(),
            "NoteAdded" => "note".to_owned(),
            "RunUnblocked" => "a person decided on it".to_owned(),
            kind => spaced(kind),
        };
        (begin, LineJoin::Colon)
    }
}

/// Findings without the lines that the line before them ends with: a gate's reason has the end of its evidence already.
fn once(findings: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in findings.lines() {
        let is_said = !line.trim().is_empty() && lines.last().is_some_and(|last| last.ends_with(line.trim()));
        if !is_said {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// How what an event says is joined to the words in front of it.
enum LineJoin {
    /// The words say it.
    Nothing,
    Blank,
    Colon,
}

/// An event by its name, as `GET /runs/{run}/diff` lists them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NamedEvent {
    pub(crate) version: u64,
    pub(crate) at: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(event: Value) -> PastEvent {
        PastEvent {
            version: 7,
            recorded_at: "2026-11-22T15:49:23Z".to_owned(),
            actor: "engine".to_owned(),
            cause: EventInput::default(),
            position: 0,
            hash: String::new(),
            event,
        }
    }

    #[test]
    fn an_event_names_its_step_its_item_and_its_turn() {
        let of_item = event(json!({ "type": "AttemptStarted",
            "id": { "path": { "step": "build", "item": 3 }, "round": 2, "attempt": 1 } }));
        assert_eq!(
            (of_item.place(), of_item.turn(), of_item.said()),
            ("build.3".to_owned(), "2.1".to_owned(), "attempt 1 starts".to_owned())
        );
    }

    #[test]
    fn a_verdict_that_does_not_pass_is_trouble() {
        let failed =
            event(json!({ "type": "GateEvaluated", "gate": "tests", "verdict": "fail", "reason": "exit 1" }));
        assert_eq!(
            (failed.tone(), failed.said()),
            (EventTone::Trouble, "gate tests fail: exit 1".to_owned())
        );
        let passed = event(json!({ "type": "GateEvaluated", "gate": "tests", "verdict": "pass" }));
        assert_eq!(passed.tone(), EventTone::Gate);
    }

    #[test]
    fn a_rework_says_its_reason_once() {
        let findings = "gate “tests” failed: exit 1: 5 passed, 5 failed\n5 passed, 5 failed";
        let rework = event(json!({ "type": "ReworkRequested", "target": "develop", "used": 1, "max": 3,
            "source": { "gate": "tests" }, "findings": findings }));
        assert_eq!(rework.said().matches("5 passed, 5 failed").count(), 1, "{}", rework.said());
        assert_eq!(rework.place(), "develop");
    }

    #[test]
    fn an_unknown_type_is_written_in_its_words() {
        assert_eq!(event(json!({ "type": "WorktreeReset" })).said(), "worktree reset");
        assert_eq!(event(json!({})).kind(), "Unreadable");
    }
}
