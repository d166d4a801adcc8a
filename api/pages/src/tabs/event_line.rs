//! What an event says beyond its type and its place, in one line.

use serde_json::Value;

use super::excerpt::clamped;
use crate::words;

/// The longest line.
const MOST: usize = 200;

/// What an event says, `event` being its fact; empty where its type says it all.
pub(crate) fn event_line(event: &Value) -> String {
    let kind = text(event, "type").unwrap_or_default();
    let line = of_work(kind, event)
        .or_else(|| of_gates(kind, event))
        .or_else(|| of_people(kind, event))
        .or_else(|| of_run(kind, event))
        .unwrap_or_default();
    clamped(&line, MOST)
}

fn of_work(kind: &str, event: &Value) -> Option<String> {
    Some(match kind {
        "StepScheduled" => {
            let work = &event["work"];
            match (work["task"]["kind"].as_str(), words::kept(&work["kept"])) {
                (Some(kind), _) => kind.to_owned(),
                (None, Some(kept)) => format!("kept: {kept}"),
                (None, None) => word(work),
            }
        }
        "ItemsExpanded" => counted(event["items"].as_array()?.len() as u64, "item"),
        "AttemptSucceeded" => outcome(event),
        "AttemptFailed" | "StepFailed" | "RunFailed" => failure(&event["failure"]),
        "AttemptLost" => text(event, "reason")?.to_owned(),
        "StopRequested" => {
            format!(
                "{}, {}",
                counted(event["ids"].as_array()?.len() as u64, "attempt"),
                word(&event["reason"])
            )
        }
        "RetryScheduled" => format!("not before {}", word(&event["at"])),
        "StepSkipped" => word(&event["reason"]),
        "StepBlocked" => text(event, "message")?.to_owned(),
        "ReworkRequested" => {
            let of = event["max"].as_u64().map(|max| format!(" of {max}")).unwrap_or_default();
            let source = &event["source"];
            let by = text(source, "gate").or_else(|| text(source, "by"));
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            commented(&format!("rework {}{of}{by}", event["used"]), event["findings"].as_str())
        }
        "ProgressReported" => event["progress"].to_string(),
        "UsageRecorded" => {
            let usage = &event["usage"];
            let count = |field: &str| words::count(usage[field].as_u64().unwrap_or(0));
            let model = text(usage, "model").map(|model| format!("{model}: ")).unwrap_or_default();
            let cost = usage["cost_micros"].as_u64().filter(|cost| *cost > 0);
            let cost = cost.map(|cost| format!(", {}", words::usd(&micros(cost)))).unwrap_or_default();
            let less = event["less_micros"].as_u64().filter(|less| *less > 0);
            let less = less.map(|less| format!(", {} less than was counted", words::usd(&micros(less))));
            let less = less.unwrap_or_default();
            format!("{model}{} + {} tokens{cost}{less}", count("input_tokens"), count("output_tokens"))
        }
        "WorktreeReset" => format!("to {:.12}", text(event, "commit")?),
        "WorkspacePrepared" => match text(&event["workspace"], "path") {
            Some(path) => path.to_owned(),
            None => failure(&event["failure"]),
        },
        "WorkspaceRemoved" => text(event, "path")?.to_owned(),
        _other => return None,
    })
}

/// How an attempt ended, and what it left.
fn outcome(event: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(note) = event["told"]["note"].as_str() {
        parts.push(note.to_owned());
    }
    if let Some(code) = event["output"]["exit_code"].as_i64() {
        parts.push(format!("exit {code}"));
    }
    let files = event["artefacts"].as_array().into_iter().flatten();
    let files: Vec<&str> = files.filter_map(|file| file["path"].as_str()).collect();
    if !files.is_empty() {
        parts.push(format!("gave {}", files.join(", ")));
    }
    if let Some(lines) = event["told"]["log"]["lines"].as_u64().filter(|lines| *lines > 0) {
        parts.push(counted(lines, "line"));
    }
    parts.join(" · ")
}

fn of_gates(kind: &str, event: &Value) -> Option<String> {
    let gate = text(event, "gate").unwrap_or_default();
    Some(match kind {
        "ProbeScheduled" => format!("{gate} #{}", event["probe_no"]),
        "GateEvaluated" => {
            let warning = match (event["tolerated"] == true, text(event, "code")) {
                (true, Some(code)) => format!(" (warning {code})"),
                (true, None) => " (warning)".to_owned(),
                (false, _) => String::new(),
            };
            format!("{gate} {}{warning}: {}", word(&event["verdict"]), word(&event["reason"]))
        }
        "ProbeFailed" => format!("{gate}: {}", word(&event["message"])),
        "RecheckRequested" => {
            let gates: Vec<&str> =
                event["policies"].as_object().into_iter().flatten().map(|(gate, _)| gate.as_str()).collect();
            let by = if gates.is_empty() {
                String::new()
            } else {
                format!("by own policies for {}", gates.join(", "))
            };
            commented(&by, text(event, "reason"))
        }
        _other => return None,
    })
}

fn of_people(kind: &str, event: &Value) -> Option<String> {
    Some(match kind {
        "ApprovalRequested" | "QuestionAsked" => text(event, "title")?.to_owned(),
        "VoteCast" => commented(&word(&event["vote"]), text(event, "comment")),
        "ApprovalDecided" => commented(&word(&event["decision"]), text(event, "comment")),
        "AnswerSaved" | "QuestionAnswered" => words::answer(&event["answer"]),
        "AttemptAsked" => word(&event["ask"]["text"]),
        "RunUnblocked" => {
            let decision = word(&event["unblocked"]["decision"]);
            let gates: Vec<&str> =
                event["bypassed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let said = match gates.as_slice() {
                [] => decision,
                gates => format!("{decision} past {}", gates.join(", ")),
            };
            commented(&said, text(&event["unblocked"], "reason"))
        }
        "NoteAdded" => text(event, "text")?.to_owned(),
        "BreakpointsSet" => {
            let steps = event["steps"].as_array().into_iter().flatten();
            steps.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        "SignalReceived" => match &event["payload"] {
            Value::Null => word(&event["name"]),
            payload => format!("{} {payload}", word(&event["name"])),
        },
        "SignalTaken" => {
            let by = match (text(&event["by"]["gate"], "gate"), event["by"].as_str()) {
                (Some(gate), _) => format!("gate {gate}"),
                (None, Some(by)) => by.to_owned(),
                (None, None) => event["by"].as_object()?.keys().next()?.clone(),
            };
            commented(&format!("{} by {by}, {}", event["signal"], word(&event["how"])), text(event, "reason"))
        }
        _other => return None,
    })
}

fn of_run(kind: &str, event: &Value) -> Option<String> {
    Some(match kind {
        "RunStarted" => match text(event, "title") {
            Some(title) => format!("{}: {title}", word(&event["pipeline"])),
            None => word(&event["pipeline"]),
        },
        "RunQueued" => {
            let slots = event["slots"].as_array().into_iter().flatten();
            slots.filter_map(|slot| slot["key"].as_str()).collect::<Vec<_>>().join(", ")
        }
        "RunForked" => {
            let origin = &event["origin"];
            format!(
                "{} of {} at {}",
                word(&origin["how"]),
                words::short(text(origin, "run")?),
                origin["version"]
            )
        }
        "WorkSpared" => match &event["reason"]["held"] {
            Value::Null => format!("ends as in event {}", event["reason"]["recorded"]["version"]),
            held => format!("held back, would have: {}", text(held, "would")?),
        },
        "ChildStarted" => words::short(text(event, "child")?).to_owned(),
        "ChildFinished" if event["failure"].is_object() => failure(&event["failure"]),
        "ChildFinished" => words::short(text(event, "child")?).to_owned(),
        "TimerSet" => format!("{} at {}", word(&event["timer"]["kind"]), word(&event["at"])),
        "TimerFired" => word(&event["timer"]["kind"]),
        "RunPaused" if event["interrupt"] == true => commented("interrupt", text(event, "reason")),
        "RunPaused" | "RunResumed" | "CancelRequested" | "StepCancelRequested" | "RunAbandoned" => {
            text(event, "reason")?.to_owned()
        }
        "RunHalted" | "RunReleased" => commented(&scope(&event["scope"]), text(event, "reason")),
        "BudgetsOpened" => {
            let budgets = event["budgets"].as_array().into_iter().flatten();
            budgets.filter_map(|budget| budget["id"].as_str()).collect::<Vec<_>>().join(", ")
        }
        "BudgetExceeded" => {
            let (measure, budget) = (word(&event["measure"]), word(&event["reading"]["budget"]));
            format!("the {measure} of budget {budget} is {}", words::taken(words::is_reserved(event)))
        }
        "BudgetRaised" => commented(&word(&event["budget"]), text(event, "reason")),
        "FundsAnswered" => match text(&event["refused"], "budget") {
            Some(budget) => format!("budget {budget} has no room"),
            None => "there is room".to_owned(),
        },
        "BudgetPeriodBegan" => format!("{} until {}", word(&event["budget"]), word(&event["until"])),
        "NoticeSent" => commented(text(event, "notice")?, Some(text(event, "reason")?)),
        "ClockRead" => format!("the clock says {}", word(&event["clock"])),
        "WorkspaceShared" => format!("of {}", words::short(text(event, "owner")?)),
        "Unreadable" => text(event, "message")?.to_owned(),
        _other => return None,
    })
}

fn text<'a>(of: &'a Value, field: &str) -> Option<&'a str> {
    of[field].as_str().filter(|text| !text.is_empty())
}

/// A word of an enum; of one with fields its name.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.len() == 1 => fields.keys().next().cloned().unwrap_or_default(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn scope(scope: &Value) -> String {
    match &scope["pipeline"] {
        Value::String(name) => name.clone(),
        _engine => word(scope),
    }
}

fn failure(failure: &Value) -> String {
    match text(failure, "message") {
        Some(message) => format!("{}: {message}", word(&failure["kind"]).replace('_', " ")),
        None => word(&failure["kind"]).replace('_', " "),
    }
}

fn commented(what: &str, comment: Option<&str>) -> String {
    match (what, comment) {
        ("", Some(comment)) => comment.to_owned(),
        (what, Some(comment)) => format!("{what}: {comment}"),
        (what, None) => what.to_owned(),
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", words::count(count), if count == 1 { "" } else { "s" })
}

/// Millionths of a US dollar as REST writes costs.
pub(crate) fn micros(cost: u64) -> String {
    format!("{}.{:06}", cost / 1_000_000, cost % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_verdict_a_vote_and_a_failure_stand_in_a_line() {
        let of = |event: Value| event_line(&event);
        assert_eq!(
            of(
                json!({"type": "GateEvaluated", "gate": "tests", "verdict": "fail", "reason": "exit 1", "tolerated": true, "code": "T1"})
            ),
            "tests fail (warning T1): exit 1"
        );
        assert_eq!(
            of(json!({"type": "VoteCast", "vote": "reject", "comment": "too\nlong"})),
            "reject: too long"
        );
        assert_eq!(
            of(json!({"type": "AttemptFailed", "failure": {"kind": "exit_code", "message": "exit 3"}})),
            "exit code: exit 3"
        );
        assert_eq!(of(json!({"type": "Fancy"})), "");
    }

    #[test]
    fn an_end_tells_the_exit_code_the_files_and_the_log() {
        let event = json!({"type": "AttemptSucceeded", "output": {"exit_code": 0},
            "artefacts": [{"path": "a.md"}, {"path": "b.md"}], "told": {"note": null, "log": {"lines": 1}}});
        assert_eq!(event_line(&event), "exit 0 · gave a.md, b.md · 1 line");
    }

    #[test]
    fn an_item_that_a_retry_keeps_names_the_attempt_that_did_it() {
        let id = json!({"path": {"step": "each", "item": 2}, "round": 1, "attempt": 3});
        let run = "01a223e4-4dd1-7a33-8f79-08731133278a";
        let event = json!({"type": "StepScheduled", "id": id, "work": {"kept": {"run": run, "id": id}}});
        assert_eq!(event_line(&event), "kept: done as each.2 1.3 of run 1133278a");
    }

    #[test]
    fn events_of_another_shape_make_a_line_without_a_fault() {
        for kind in
            ["StopRequested", "ItemsExpanded", "ChildStarted", "RunForked", "SignalTaken", "UsageRecorded"]
        {
            let _any = event_line(&json!({"type": kind}));
            let _any = event_line(&json!({"type": kind, "by": 1, "items": "x", "child": "é", "origin": []}));
        }
    }
}
