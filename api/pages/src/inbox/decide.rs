//! What the forms of the inbox say to a task, as bodies of REST.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::draft::FieldEdit;
use super::saved_answer::SavedAnswer;
use super::task::{Asks, QuestionItem, Task};
use crate::form::Fields;
use crate::frame::Visit;
use crate::problem::Problem;

/// Remarks that one form brings.
pub(crate) const REMARKS_MAX: usize = 100;

/// What a form asks to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The route of REST.
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) then: Then,
}

/// What is opened after it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next task of the list.
    Next,
    /// The task, of which a part was kept.
    SameTask,
    /// What the run asks anew.
    SameRun,
}

/// Says to a task what a form brought.
pub(crate) async fn send(visit: &Visit, task: &Task, fields: &Fields) -> Result<Order, Problem> {
    let is_answer = fields.text("decision") == Some("answer");
    if let Some(saved) = SavedAnswer::of(task).filter(|_| is_answer)
        && !saved.changed_since(fields).is_empty()
    {
        return Err(Problem::changed("others changed the answer since you looked"));
    }
    let order = order(task, fields).map_err(Problem::invalid)?;
    visit.rest.write(Method::POST, &order.path, &order.body, fields.once()).await?;
    Ok(order)
}

/// What a form says to a task; else what is wrong with it.
pub(crate) fn order(task: &Task, fields: &Fields) -> Result<Order, String> {
    let decision = fields.text("decision").unwrap_or_default();
    let (path, body) = match (&task.asks, decision) {
        (_, "recheck") => (format!("/runs/{}/recheck", task.short_id), recheck(task, fields)),
        (Asks::Approval { show, value, .. }, "approve" | "reject" | "changes") => {
            (rest_path(task), vote(decision, show, value, fields)?)
        }
        (Asks::Question { terms, .. }, "answer" | "save") => {
            let items = terms.items.as_deref().unwrap_or_default();
            let mut body = json!({"answers": answers(items, fields)});
            if decision == "save" {
                body["save"] = true.into();
            }
            (rest_path(task), body)
        }
        (Asks::Blocked { .. }, "retry" | "proceed" | "skip" | "fail") => {
            (format!("/runs/{}/unblock", task.short_id), unblock(task, decision, fields)?)
        }
        (Asks::Budget { budget, .. }, "raise") => {
            (format!("/runs/{}/budget", task.short_id), raise(budget, fields)?)
        }
        (_, other) => return Err(format!("“{other}” is nothing that this task asks for")),
    };
    let then = match (&task.asks, decision) {
        (_, "save") => Then::SameTask,
        (Asks::Approval { .. }, "recheck") => Then::SameRun,
        _ => Then::Next,
    };
    Ok(Order { path, body, then })
}

fn rest_path(task: &Task) -> String {
    super::task::path_of(&task.id)
}

fn vote(decision: &str, show: &Value, value: &Value, fields: &Fields) -> Result<Value, String> {
    let mut body = json!({"decision": decision});
    if let Some(comment) = fields.text("comment") {
        body["comment"] = comment.into();
    }
    if let Some(seen) = fields.text("seen") {
        body["seen"] = seen.into();
    }
    let remarks = remarks(show, fields)?;
    if !remarks.is_empty() {
        body["comments"] = remarks.into();
    }
    if decision == "approve"
        && let FieldEdit::Text(text) = FieldEdit::of(fields, "value")
    {
        let edited = typed(text, value).map_err(|error| format!("the value is no JSON: {error}"))?;
        if edited != with_plain_ends(value) {
            body["value"] = edited;
        }
    }
    Ok(body)
}

/// A value as a form gives it back where nobody edited it.
fn with_plain_ends(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("\r\n", "\n")),
        value => value.clone(),
    }
}

/// A value as it was typed: a text in the place of a text, else JSON.
fn typed(text: &str, stands: &Value) -> Result<Value, serde_json::Error> {
    // A browser sends the ends of lines as two characters.
    let text = text.replace("\r\n", "\n");
    match stands {
        Value::String(_) => Ok(Value::String(text)),
        _ => serde_json::from_str(&text),
    }
}

/// The remarks of a form: `on.N` is the number of what is shown, `line.N` a line of it, `text.N` what is said.
fn remarks(show: &Value, fields: &Fields) -> Result<Vec<Value>, String> {
    let mut remarks = Vec::new();
    for number in 0..REMARKS_MAX {
        let Some(text) = fields.text(&format!("text.{number}")) else { continue };
        let mut remark = json!({"text": text.trim_end()});
        if let Some(on) = fields.text(&format!("on.{number}")) {
            let shown = on.parse().ok().and_then(|at: usize| match show {
                Value::Array(list) => list.get(at),
                other => Some(other).filter(|_| at == 0),
            });
            let shown = shown.ok_or_else(|| "a remark is on something that is not shown".to_owned())?;
            remark["on"] = crate::words::json(shown).into();
        }
        if let Some(line) = fields.text(&format!("line.{number}")) {
            let line: u32 = line.trim().parse().map_err(|_| format!("“{line}” is no number of a line"))?;
            remark["line"] = line.into();
        }
        if let Some(quote) = fields.text(&format!("quote.{number}")) {
            remark["quote"] = quote.into();
        }
        remarks.push(remark);
    }
    Ok(remarks)
}

/// The answers that were typed into a form, or taken out of it: those of items stand in fields by their numbers.
fn answers(items: &[QuestionItem], fields: &Fields) -> Value {
    let part = |name: &str| match FieldEdit::of(fields, name) {
        FieldEdit::Untouched => None,
        FieldEdit::Emptied => Some(Value::Null),
        FieldEdit::Text(text) => Some(text.replace("\r\n", "\n").into()),
    };
    let parts = ["choice", "text"].into_iter().filter_map(|name| Some((name.to_owned(), part(name)?)));
    let mut answers: Map<String, Value> = parts.collect();
    let of_items = |field: &str| -> Map<String, Value> {
        let numbered = items.iter().enumerate();
        numbered
            .filter_map(|(number, item)| Some((item.id.clone(), part(&format!("{field}.{number}"))?)))
            .collect()
    };
    let (given, states) = (of_items("item"), of_items("state"));
    if !given.is_empty() {
        answers.insert("items".to_owned(), given.into());
    }
    if !states.is_empty() {
        answers.insert("states".to_owned(), states.into());
    }
    Value::Object(answers)
}

fn unblock(task: &Task, decision: &str, fields: &Fields) -> Result<Value, String> {
    let mut body = json!({"step": task.step, "decision": decision});
    if let Some(reason) = fields.text("reason") {
        body["reason"] = reason.into();
    }
    if let Some(output) = fields.text("output").filter(|_| decision == "proceed") {
        let output: Value =
            serde_json::from_str(output).map_err(|error| format!("the output is no JSON: {error}"))?;
        body["output"] = output;
    }
    Ok(body)
}

fn recheck(task: &Task, fields: &Fields) -> Value {
    let mut body = json!({"step": task.step});
    if let Some(reason) = fields.text("reason") {
        body["reason"] = reason.into();
    }
    if let (Some(gate), Some(policy)) = (fields.text("gate"), fields.text("policy")) {
        body["policy"] = json!({gate: policy.trim()});
    }
    body
}

fn raise(budget: &str, fields: &Fields) -> Result<Value, String> {
    let mut body = json!({"budget": budget});
    let mut is_raised = false;
    if let Some(add) = fields.text("add") {
        body["add"] = add.trim().into();
        is_raised = true;
    }
    if let Some(tokens) = fields.text("tokens") {
        let tokens: u64 = tokens.trim().parse().map_err(|_| format!("“{tokens}” is no number of tokens"))?;
        body["tokens"] = tokens.into();
        is_raised = true;
    }
    if let Some(wall) = fields.text("wall") {
        body["wall"] = wall.trim().into();
        is_raised = true;
    }
    if let Some(reason) = fields.text("reason") {
        body["reason"] = reason.into();
    }
    if is_raised { Ok(body) } else { Err("say by how much: money, tokens or time".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;

    use super::*;

    fn task(kind: Value) -> Task {
        let mut task = json!({
            "id": "3b2cabce:sign:1", "short_id": "3b2cabce", "pipeline": "p", "run_title": null, "step": "sign",
            "round": 1, "since": "2026-11-20T18:20:09.603Z", "expires_at": null, "position": 1,
        });
        for (name, value) in kind.as_object().into_iter().flatten() {
            task[name] = value.clone();
        }
        Task::deserialize(task).expect("the task is whole")
    }

    fn said(task: &Task, form: &str) -> Value {
        order(task, &Fields::read(form.as_bytes())).expect("the form can be used").body
    }

    fn approval() -> Task {
        task(json!({
            "kind": "approval", "title": "Ship?", "show": ["plan.md", "a text"], "value": {"days": 3}, "terms": {},
        }))
    }

    #[test]
    fn a_vote_carries_what_was_seen_and_remarks_on_lines() {
        let form =
            "decision=changes&comment=so&seen=abcdef01&on.0=0&line.0=7&text.0=why%3F&on.1=&line.1=&text.1=";
        let expected = json!({
            "decision": "changes", "comment": "so", "seen": "abcdef01",
            "comments": [{"on": "plan.md", "line": 7, "text": "why?"}],
        });
        assert_eq!(said(&approval(), form), expected);
    }

    #[test]
    fn a_value_that_was_not_edited_is_not_sent() {
        assert_eq!(
            said(&approval(), "decision=approve&value=%7B%22days%22%3A3%7D"),
            json!({"decision": "approve"})
        );
        let edited = said(&approval(), "decision=approve&value=%7B%22days%22%3A5%7D");
        assert_eq!(edited["value"], json!({"days": 5}));
        assert!(order(&approval(), &Fields::read(b"decision=approve&value=%7B")).is_err());
        // Another vote has replaced the value since: what stands in the form is what stood there before.
        let untouched = "decision=approve&value=%7B%22days%22%3A1%7D&value.was=%7B%22days%22%3A1%7D";
        assert_eq!(said(&approval(), untouched), json!({"decision": "approve"}));
    }

    #[test]
    fn ends_of_lines_that_a_browser_wrote_are_no_edit() {
        let asked = task(json!({"kind": "approval", "title": "Ship?", "value": "a\r\nb", "terms": {}}));
        assert_eq!(said(&asked, "decision=approve&value=a%0D%0Ab"), json!({"decision": "approve"}));
        assert_eq!(said(&asked, "decision=approve&value=a%0D%0Ac")["value"], json!("a\nc"));
    }

    #[test]
    fn items_are_answered_dismissed_and_opened_again_by_their_ids() {
        let asked = task(json!({
            "kind": "question", "title": "What?",
            "terms": {"items": [{"id": "a", "text": "A?"}, {"id": "b", "text": "B?"}, {"id": "c", "text": "C?"}]},
        }));
        let form = "decision=save&item.0=yes&state.0=open&state.0.was=open&state.1=dismissed&state.1.was=open\
                    &state.2.was=resolved&state.2=open";
        let expected = json!({
            "answers": {"items": {"a": "yes"}, "states": {"b": "dismissed", "c": "open"}}, "save": true,
        });
        assert_eq!(said(&asked, form), expected);
        // Others may have saved, dismissed or opened again what this form held when its page was made.
        let untouched = "decision=save&item.0=yes&item.0.was=yes&text=so&text.was=so&state.1=dismissed&state.1.was=dismissed";
        assert_eq!(said(&asked, untouched), json!({"answers": {}, "save": true}));
        let emptied = "decision=save&item.0=&item.0.was=yes&text=&text.was=so";
        let expected = json!({"answers": {"text": null, "items": {"a": null}}, "save": true});
        assert_eq!(said(&asked, emptied), expected);
    }

    #[test]
    fn an_answer_is_to_what_stood_on_the_page() {
        let asked = task(json!({
            "kind": "question", "title": "What?", "draft": {"text": "NO", "items": {"a": "x"}, "states": {"b": "dismissed"}},
            "terms": {"items": [{"id": "a", "text": "A?"}, {"id": "b", "text": "B?"}]},
        }));
        let changed = |form: &str| {
            SavedAnswer::of(&asked).expect("a question").changed_since(&Fields::read(form.as_bytes()))
        };
        let now = "text.was=NO&item.0.was=x&state.0.was=open&item.1.was=&state.1.was=dismissed";
        assert_eq!(changed(now), [""; 0]);
        assert_eq!(changed(&now.replace("text.was=NO", "text.was=yes")), ["the answer in words"]);
        assert_eq!(changed(&now.replace("=x", "=").replace("=dismissed", "=open")), ["A?", "B?"]);
        assert_eq!(changed("text=typed"), [""; 0], "a form that does not say what it held");
    }

    #[test]
    fn a_task_is_told_only_what_it_asks_for() {
        assert!(order(&approval(), &Fields::read(b"decision=retry")).is_err());
        let blocked = task(json!({"kind": "blocked", "message": "exit 3", "reason": "failed"}));
        assert_eq!(
            said(&blocked, "decision=proceed&output=%7B%7D"),
            json!({"step": "sign", "decision": "proceed", "output": {}})
        );
        assert!(order(&blocked, &Fields::read(b"decision=approve")).is_err());
    }
}
