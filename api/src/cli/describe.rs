//! An event in one line.

use serde_json::Value;

use super::format::{count, cut, verdict};
use crate::view::usd;

/// An event of an answer.
pub(crate) struct Shown<'a>(pub(crate) &'a Value);

impl Shown<'_> {
    /// The event's name.
    pub(crate) fn name(&self) -> &str {
        self.0["event"]["type"].as_str().unwrap_or("?")
    }

    pub(crate) fn version(&self) -> u64 {
        self.0["version"].as_u64().unwrap_or(0)
    }

    pub(crate) fn at(&self) -> &str {
        self.0["recorded_at"].as_str().unwrap_or_default()
    }

    pub(crate) fn actor(&self) -> &str {
        self.0["actor"].as_str().unwrap_or_default()
    }

    fn text(&self, name: &str) -> &str {
        self.0["event"][name].as_str().unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.0["event"][name].as_u64().unwrap_or(0)
    }

    /// What it is about: `build 2.1`, `build.3 1.1`, `build 2`, `build`.
    pub(crate) fn place(&self) -> String {
        let event = &self.0["event"];
        let id = if event["id"].is_object() { &event["id"] } else { &event["timer"]["id"] };
        if id.is_object() {
            let (round, attempt) = (&id["round"], &id["attempt"]);
            return format!("{} {round}.{attempt}", path(&id["path"]));
        }
        if event["path"].is_object() {
            let round = event["round"].as_u64().map(|round| format!(" {round}")).unwrap_or_default();
            return format!("{}{round}", path(&event["path"]));
        }
        if event["unblocked"].is_object() {
            return path(&event["unblocked"]["path"]);
        }
        self.step_name().to_owned()
    }

    fn step_name(&self) -> &str {
        let event = &self.0["event"];
        event["step"].as_str().or(event["target"].as_str()).unwrap_or_default()
    }

    fn failure(&self) -> String {
        let failure = &self.0["event"]["failure"];
        let kind = failure["kind"].as_str().unwrap_or_default();
        let message = failure["message"].as_str().unwrap_or_default();
        super::format::failure(kind, None, &cut(message, 120))
    }

    /// What it says beyond its name and place.
    pub(crate) fn detail(&self) -> String {
        let event = &self.0["event"];
        match self.name() {
            "RunStarted" => match event["title"].as_str() {
                Some(title) => format!("{}: {}", self.text("pipeline"), cut(title, 100)),
                None => self.text("pipeline").to_owned(),
            },
            "StepScheduled" => work(&event["work"]),
            "RunQueued" => {
                let slots = event["slots"].as_array().into_iter().flatten();
                let keys: Vec<&str> = slots.filter_map(|slot| slot["key"].as_str()).collect();
                keys.join(", ")
            }
            "RunForked" => {
                let origin = &event["origin"];
                let run = short(origin["run"].as_str());
                format!("{} of {run} at {}", origin["how"].as_str().unwrap_or_default(), origin["version"])
            }
            "ChildStarted" => short(event["child"].as_str()),
            "ChildFinished" if event["failure"].is_object() => self.failure(),
            "ChildFinished" => short(event["child"].as_str()),
            "WorkspacePrepared" if event["workspace"].is_object() => {
                event["workspace"]["path"].as_str().unwrap_or_default().to_owned()
            }
            "WorkspacePrepared" | "AttemptFailed" | "StepFailed" | "RunFailed" => self.failure(),
            "ItemsExpanded" => count(event["items"].as_array().map_or(0, Vec::len) as u64, "item"),
            "AttemptLost" => cut(self.text("reason"), 120),
            "StopRequested" => {
                let ids = event["ids"].as_array().map_or(0, Vec::len);
                format!("{}, {}", count(ids as u64, "attempt"), self.text("reason"))
            }
            "RetryScheduled" => format!("not before {}", self.text("at")),
            "StepSkipped" => self.text("reason").to_owned(),
            "StepBlocked" => cut(self.text("message"), 120),
            "ProbeScheduled" => format!("{} #{}", self.text("gate"), self.number("probe_no")),
            "GateEvaluated" => {
                let word = serde_json::from_value(event["verdict"].clone()).map(verdict).unwrap_or_default();
                let warning = match (event["tolerated"].as_bool(), event["code"].as_str()) {
                    (Some(true), Some(code)) => format!(" (warning {code})"),
                    (Some(true), None) => " (warning)".to_owned(),
                    _counts => String::new(),
                };
                format!("{} {word}{warning}: {}", self.text("gate"), cut(self.text("reason"), 100))
            }
            "ProbeFailed" => format!("{}: {}", self.text("gate"), cut(self.text("message"), 100)),
            "ReworkRequested" => {
                let max = event["max"].as_u64().map(|max| format!(" of {max}")).unwrap_or_default();
                let by = event["source"]["gate"].as_str().or(event["source"]["by"].as_str());
                let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
                format!("rework {}{max}{by}", self.number("used"))
            }
            "ApprovalRequested" => cut(self.text("title"), 100),
            "VoteCast" => said(self.text("vote"), event["comment"].as_str()),
            "ApprovalDecided" => said(self.text("decision"), event["comment"].as_str()),
            "QuestionAsked" => cut(self.text("title"), 100),
            "AnswerSaved" | "QuestionAnswered" => answer(&event["answer"]),
            "AttemptAsked" => cut(event["ask"]["text"].as_str().unwrap_or_default(), 100),
            "TimerSet" => {
                format!("{} at {}", event["timer"]["kind"].as_str().unwrap_or_default(), self.text("at"))
            }
            "TimerFired" => event["timer"]["kind"].as_str().unwrap_or_default().to_owned(),
            "UsageRecorded" => {
                let usage = &event["usage"];
                format!("{} + {} tokens", usage["input_tokens"], usage["output_tokens"])
            }
            "SignalReceived" => {
                let payload = &event["payload"];
                let said = if payload.is_null() {
                    String::new()
                } else {
                    format!(" {}", cut(&payload.to_string(), 100))
                };
                format!("{}{said}", self.text("name"))
            }
            "SignalTaken" if event["by"]["gate"].is_object() => {
                format!("gate {} asks now", event["by"]["gate"]["gate"].as_str().unwrap_or_default())
            }
            "SignalTaken" => {
                let by = &event["by"];
                let by = match by.as_str() {
                    Some(word) => word.to_owned(),
                    None => by
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(kind, at)| format!("{kind} {}", path(&at["path"])))
                        .collect(),
                };
                format!("{} by {by}, {}", event["signal"], self.text("how"))
            }
            "BreakpointsSet" => {
                let steps = event["steps"].as_array().into_iter().flatten().filter_map(Value::as_str);
                steps.collect::<Vec<_>>().join(", ")
            }
            "RunHalted" | "RunReleased" => {
                let scope = event["scope"]["pipeline"].as_str().unwrap_or("engine");
                said(scope, event["reason"].as_str())
            }
            "StepCancelRequested" | "RunPaused" | "RunResumed" | "CancelRequested" | "RunAbandoned" => {
                self.text("reason").to_owned()
            }
            "RunUnblocked" => {
                let decision = event["unblocked"]["decision"].as_str().unwrap_or_default();
                said(decision, event["unblocked"]["reason"].as_str())
            }
            "RecheckRequested" => {
                let policies = event["policies"].as_object();
                let gates: Vec<&str> =
                    policies.into_iter().flatten().map(|(gate, _)| gate.as_str()).collect();
                let by = if gates.is_empty() {
                    String::new()
                } else {
                    format!("by own policies for {}", gates.join(", "))
                };
                said(&by, event["reason"].as_str())
            }
            "BudgetsOpened" => {
                let budgets = event["budgets"].as_array().into_iter().flatten();
                budgets.filter_map(|budget| budget["id"].as_str()).collect::<Vec<_>>().join(", ")
            }
            "BudgetExceeded" => {
                let reading = &event["reading"];
                let until = reading["until"].as_str().map(|at| format!(" until {at}")).unwrap_or_default();
                let (budget, measure) =
                    (reading["budget"].as_str().unwrap_or_default(), self.text("measure"));
                format!("the {measure} of budget {budget} is used up{until}")
            }
            "BudgetRaised" => {
                let add = &event["add"];
                let [cost, tokens, wall_ms] =
                    ["cost_micros", "tokens", "wall_ms"].map(|name| add[name].as_u64().unwrap_or(0));
                let parts = [
                    (cost > 0).then(|| format!("{} USD", usd(cost))),
                    (tokens > 0).then(|| count(tokens, "token")),
                    (wall_ms > 0).then(|| super::format::span(std::time::Duration::from_millis(wall_ms))),
                ];
                let by = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
                said(&format!("{} by {by}", self.text("budget")), event["reason"].as_str())
            }
            "FundsGranted" if event["exempt"] == true => "exempt".to_owned(),
            "FundsAnswered" => match event["refused"]["budget"].as_str() {
                Some(budget) => format!("budget {budget} has no room"),
                None => "there is room".to_owned(),
            },
            "BudgetPeriodBegan" => format!("{} until {}", self.text("budget"), self.text("until")),
            "WorktreeReset" => format!("to {}", cut(self.text("commit"), 12)),
            "ClockRead" => format!("the clock says {}", self.text("clock")),
            "WorkspaceRemoved" => self.text("path").to_owned(),
            "WorkspaceShared" => format!("of {}", short(event["owner"].as_str())),
            "NoteAdded" => cut(self.text("text"), 120),
            "Unreadable" => cut(self.text("message"), 120),
            _other => String::new(),
        }
    }
}

fn path(path: &Value) -> String {
    let step = path["step"].as_str().unwrap_or_default();
    path["item"].as_u64().map_or_else(|| step.to_owned(), |item| format!("{step}.{item}"))
}

/// The short id of a run.
fn short(run: Option<&str>) -> String {
    let run = run.unwrap_or_default();
    run.get(run.len().saturating_sub(8)..).unwrap_or_default().to_owned()
}

fn said(word: &str, comment: Option<&str>) -> String {
    comment.map_or_else(|| word.to_owned(), |comment| format!("{word}: {}", cut(comment, 100)))
}

/// What was answered, in one line.
fn answer(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = answer["items"].as_object().into_iter().flatten();
    let items = items.map(|(id, value)| format!("{id}={}", text(value).unwrap_or_else(|| value.to_string())));
    let parts: Vec<String> =
        text(&answer["choice"]).into_iter().chain(text(&answer["text"])).chain(items).collect();
    cut(&parts.join("; "), 100)
}

fn work(work: &Value) -> String {
    match work {
        Value::String(word) => word.clone(),
        task => task["task"]["kind"].as_str().unwrap_or_default().to_owned(),
    }
}
