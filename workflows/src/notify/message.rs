//! What a notice says where the pipeline gives no text of its own: what happened, where, and what to type next.
//!
//! Law: a pure function of the notice. A chat or a mail shows the run, the step, the reason and the next command
//! without a link to open.

use everfold_base::json::Value;
use everfold_base::text::one_line;

use crate::function::Call;

/// The longest subject, in characters.
const SUBJECT_CHARS_MAX: usize = 160;
/// The longest line of a failure's message.
const LINE_CHARS_MAX: usize = 500;

/// A notice in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// In one line.
    pub(super) subject: String,
    /// Beside that, line by line.
    pub(super) lines: Vec<String>,
    /// The text was given: it stands alone.
    is_own: bool,
}

impl Message {
    /// What is said: `with.text`, else what the event tells.
    pub(super) fn of(call: &Call, with: &Value) -> Self {
        let own = with["text"].as_str().or_else(|| with.as_str());
        match own {
            Some(text) => {
                let subject = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                Self { subject: cut(subject, SUBJECT_CHARS_MAX), lines: vec![text.to_owned()], is_own: true }
            }
            None => Self::of_notice(call.context()),
        }
    }

    fn of_notice(notice: &Value) -> Self {
        let (run, event) = (&notice["run"], &notice["event"]);
        let (short, step) = (word(&run["short_id"]), step(event));
        let cancelled = &run["cancelled"];
        let title = run["title"].as_str().map(|title| format!(" “{}”", cut(title, 80))).unwrap_or_default();
        let happened = happened(event, &step);
        let subject =
            cut(&format!("{} {short}{title}: {happened}", word(&run["pipeline"])), SUBJECT_CHARS_MAX);
        let mut lines = reasons(event);
        if word(&event["type"]) == "RunCancelled" && !cancelled.is_null() {
            let why = cancelled["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines.push(cut(&format!("by {}{why}", word(&cancelled["by"])), LINE_CHARS_MAX));
        }
        lines.extend(next(event, short, &step).into_iter().map(|command| format!("next: {command}")));
        if let Some(link) = notice["link"].as_str() {
            lines.push(link.to_owned());
        }
        Self { subject, lines, is_own: false }
    }

    /// Everything.
    pub(super) fn text(&self) -> String {
        match self.is_own {
            true => self.lines.join("\n"),
            false => [std::slice::from_ref(&self.subject), &self.lines].concat().join("\n"),
        }
    }
}

/// What the event means for the run.
fn happened(event: &Value, step: &str) -> String {
    let at = if step.is_empty() { String::new() } else { format!(" at {step}") };
    let title = word(&event["title"]);
    match word(&event["type"]) {
        "RunStarted" => "started".to_owned(),
        "RunQueued" => "waits for a slot".to_owned(),
        "RunAdmitted" => "got its slot".to_owned(),
        "RunSucceeded" => "succeeded".to_owned(),
        "RunFailed" => format!("failed{at}"),
        "RunCancelled" => "was cancelled".to_owned(),
        "RunPaused" => "is paused".to_owned(),
        "RunResumed" => "goes on".to_owned(),
        "StepSucceeded" => format!("{step} succeeded"),
        "StepFailed" => format!("{step} failed"),
        "StepBlocked" => format!("is blocked{at}"),
        "ApprovalRequested" => format!("waits for approval{at}: {title}"),
        "ApprovalDecided" => format!("{step} was decided: {}", word(&event["decision"])),
        "QuestionAsked" => format!("asks{at}: {title}"),
        "QuestionAnswered" => format!("{step} was answered"),
        "ReworkRequested" => format!("goes back to {}", word(&event["target"])),
        "BudgetExceeded" => "has used up a budget".to_owned(),
        "NoteAdded" => "has a new note".to_owned(),
        "TimerFired" => format!("a time is up{at}"),
        "SubscriptionTested" => "this is a test, nothing happened".to_owned(),
        other => format!("{other}{at}"),
    }
}

/// Why, and who is asked.
fn reasons(event: &Value) -> Vec<String> {
    let failure = &event["failure"];
    let said = [&failure["message"], &event["message"], &event["reason"], &event["text"], &event["comment"]];
    let mut lines: Vec<String> =
        said.into_iter().filter_map(Value::as_str).map(|text| cut(text, LINE_CHARS_MAX)).collect();
    if let Some(code) = failure["code"].as_str() {
        lines.push(format!("code: {code}"));
    }
    if let Some(hint) = failure["hint"].as_str() {
        lines.push(format!("hint: {}", cut(hint, LINE_CHARS_MAX)));
    }
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let roles = list(&event["terms"]["roles"]);
    if !roles.is_empty() {
        lines.push(format!("for: {}", roles.join(", ")));
    }
    let options = list(&event["terms"]["options"]);
    if !options.is_empty() {
        lines.push(format!("options: {}", options.join(", ")));
    }
    lines
}

/// What to type next.
fn next(event: &Value, short: &str, step: &str) -> Vec<String> {
    let task = || {
        let (round, attempt) =
            (event["id"]["round"].as_u64().unwrap_or(1), event["id"]["attempt"].as_u64().unwrap_or(1));
        let attempt = if attempt > 1 { format!(".{attempt}") } else { String::new() };
        format!("{short}:{step}:{round}{attempt}")
    };
    match word(&event["type"]) {
        "ApprovalRequested" => {
            let task = task();
            vec![format!("everfold approve {task}"), format!("everfold reject {task} -m WHY")]
        }
        "QuestionAsked" => vec![format!("everfold answer {} TEXT", task())],
        "RunPaused" => vec![format!("everfold resume {short}")],
        "BudgetExceeded" => vec![format!("everfold budget {short}")],
        "SubscriptionTested" => Vec::new(),
        _other => vec![format!("everfold show {short}")],
    }
}

/// The step, with its item, that an event is about.
fn step(event: &Value) -> String {
    let path = if event["path"].is_null() { &event["id"]["path"] } else { &event["path"] };
    let path = if path.is_null() { &event["timer"]["id"]["path"] } else { path };
    match (path, path["step"].as_str(), path["item"].as_u64()) {
        (Value::String(path), ..) => path.clone(),
        (_, Some(step), Some(item)) => format!("{step}.{item}"),
        (_, Some(step), None) => step.to_owned(),
        _none => String::new(),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// At most so many characters, in one line.
fn cut(text: &str, chars_max: usize) -> String {
    let text = one_line(text);
    match text.char_indices().nth(chars_max) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// What a notice says: its `with.text`, else what happened to which run, and what to do.
pub(super) fn text(call: &Call, with: &Value) -> String {
    Message::of(call, with).text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(event: Value, link: Option<&str>) -> String {
        let run = json!({"pipeline": "delivery", "short_id": "1f3a2b4c", "title": "Add login"});
        Message::of_notice(&json!({"run": run, "event": event, "link": link})).text()
    }

    #[test]
    fn l32_a_reader_learns_what_happened_where_and_what_to_type_next() {
        let failed = json!({
            "type": "RunFailed", "path": {"step": "build", "item": 2},
            "failure": {"kind": "exit", "message": "make ended with 2", "hint": "read the log", "code": null},
        });
        assert_eq!(
            said(failed, Some("https://e.example.org/runs/1")),
            "delivery 1f3a2b4c “Add login”: failed at build.2\nmake ended with 2\nhint: read the log\n\
             next: everfold show 1f3a2b4c\nhttps://e.example.org/runs/1"
        );
        let asked = json!({
            "type": "ApprovalRequested", "title": "Ship it?", "terms": {"roles": ["product"]},
            "id": {"path": {"step": "approve", "item": null}, "round": 2, "attempt": 1},
        });
        assert_eq!(
            said(asked, None),
            "delivery 1f3a2b4c “Add login”: waits for approval at approve: Ship it?\nfor: product\n\
             next: everfold approve 1f3a2b4c:approve:2\nnext: everfold reject 1f3a2b4c:approve:2 -m WHY"
        );
        let unknown = said(json!({"type": "WorktreeReset"}), None);
        assert_eq!(unknown.lines().next(), Some("delivery 1f3a2b4c “Add login”: WorktreeReset"));
    }

    #[test]
    fn row_57_a_title_says_nothing_else_in_a_subject_than_it_holds() {
        let message = Message::of_notice(&json!({
            "run": {"pipeline": "p", "short_id": "1f3a2b4c", "title": "Pay\u{202e}fdp.exe\r\nBcc: all"},
            "event": {"type": "RunSucceeded"},
        }));
        assert_eq!(message.subject, "p 1f3a2b4c “Payfdp.exe Bcc: all”: succeeded");
    }

    #[test]
    fn l32_a_subject_stays_one_short_line() {
        let message = Message::of_notice(&json!({
            "run": {"pipeline": "p", "short_id": "1f3a2b4c", "title": "x\ny".repeat(200)},
            "event": {"type": "QuestionAsked", "title": "z".repeat(900)},
        }));
        assert!(message.subject.chars().count() <= SUBJECT_CHARS_MAX + 1 && !message.subject.contains('\n'));
    }
}
