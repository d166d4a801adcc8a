//! A run as a task of the protocol's Tasks extension (SEP-2663).
//!
//! Law: a task is its run, and its id is the run's. Nothing of a task is kept: each answer is made of the run as it is, so
//! a task outlives the client, the connection and the server that made it.

use rmcp::model::{DetailedTask, InputRequests, JsonObject, Task, TaskPayload, TaskStatus};
use serde_json::{Value, json};

use crate::answer::ToolAnswer;
use crate::elicitation::{form, item_of, key};
use crate::inbox_item::InboxItem;
use crate::problem::RestProblem;
use crate::rest::{RestCaller, encoded};
use crate::run_outline::{awaited, is_ended, line, outline};

/// How often a client should look.
const LOOK_EVERY_MS: u64 = 1_000;
/// The code of the error of a run that failed.
const RUN_FAILED: i32 = -32_000;

/// What a client does with a request for input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskingBy {
    /// It shows forms to its user.
    Forms,
    /// It has declared no forms: it is shown that input is required, and decides by the tools.
    Tools,
}

/// The task that a run is.
pub(crate) fn task(view: &Value) -> Task {
    let text = |name: &str| view[name].as_str().unwrap_or_default().to_owned();
    Task::new(text("id"), status(view), text("started_at"), text("updated_at"))
        .with_status_message(line(view))
        .with_poll_interval_ms(LOOK_EVERY_MS)
}

fn status(view: &Value) -> TaskStatus {
    match view["status"].as_str() {
        Some("succeeded") => TaskStatus::Completed,
        Some("failed") => TaskStatus::Failed,
        Some("cancelled") => TaskStatus::Cancelled,
        _open if awaited(view).is_empty() => TaskStatus::Working,
        _open => TaskStatus::InputRequired,
    }
}

/// The task with what belongs to its status.
pub(crate) fn detailed(view: &Value, asking: AskingBy) -> DetailedTask {
    let payload = match status(view) {
        TaskStatus::Completed => TaskPayload::Completed { result: result(view) },
        TaskStatus::Failed => TaskPayload::Failed { error: error(view) },
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        TaskStatus::InputRequired => TaskPayload::InputRequired { input_requests: requests(view, asking) },
        _working => TaskPayload::Working,
    };
    DetailedTask::new(task(view), payload)
}

fn requests(view: &Value, asking: AskingBy) -> InputRequests {
    let items = awaited(view);
    let asked = items.iter().filter(|_| asking == AskingBy::Forms);
    asked.filter_map(|item| Some((key(item), form(item)?))).collect()
}

/// What the tool would have answered.
fn result(view: &Value) -> JsonObject {
    let result = ToolAnswer::short(outline(view)).result();
    match serde_json::to_value(result) {
        Ok(Value::Object(result)) => result,
        _no_object => JsonObject::new(),
    }
}

fn error(view: &Value) -> JsonObject {
    let message = view["failure"]["message"].as_str().unwrap_or("the run failed");
    let mut error = JsonObject::new();
    error.insert("code".to_owned(), json!(RUN_FAILED));
    error.insert("message".to_owned(), json!(message));
    let data = ToolAnswer::short(outline(view)).result().structured_content;
    error.insert("data".to_owned(), data.unwrap_or_default());
    error
}

/// The run that a task is.
pub(crate) async fn run_of(rest: &RestCaller, task_id: &str) -> Result<Value, RestProblem> {
    rest.get(&format!("/runs/{}", encoded(task_id))).await
}

/// Decides on what a task asked. What is not accepted stays open; a key that names nothing of the run is passed over; one
/// that names another version of an open item is refused.
pub(crate) async fn update<'a>(
    rest: &RestCaller,
    task_id: &str,
    responses: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> Result<(), RestProblem> {
    let view = run_of(rest, task_id).await?;
    let items = awaited(&view);
    for (answered, response) in responses {
        if response["action"] != "accept" {
            continue;
        }
        match items.iter().find(|item| key(item) == *answered) {
            Some(item) => crate::elicitation::decide(rest, task_id, item, &response["content"]).await?,
            None if is_another_version(&items, answered) => {
                return Err(RestProblem::stale(format!("{answered} is not what is asked any more"))
                    .hint("tasks/get has it as it is now"));
            }
            None => {}
        }
    }
    Ok(())
}

fn is_another_version(items: &[InboxItem], answered: &str) -> bool {
    item_of(answered).is_some_and(|id| items.iter().any(|item| item.id() == id))
}

/// Has the run of a task cancelled; of one that has ended nothing follows.
pub(crate) async fn cancel(rest: &RestCaller, task_id: &str) -> Result<(), RestProblem> {
    let body = json!({ "reason": "cancelled by its MCP client" });
    match rest.post(&format!("/runs/{}/cancel", encoded(task_id)), &body, None).await {
        Err(problem) if problem.is_conflict() && is_ended(&run_of(rest, task_id).await?) => Ok(()),
        done => done.map(|_view| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: &str, awaits: Value) -> Value {
        json!({
            "id": "01a20f52-e947-715e-bd78-f68c54999d12", "short_id": "54999d12", "status": status, "awaits": awaits,
            "started_at": "2026-11-24T08:00:00Z", "updated_at": "2026-11-24T08:01:00Z", "steps": [],
            "failure": { "message": "the tests fail" }, "output": { "size": 3 },
        })
    }

    #[test]
    fn a_run_is_a_task_with_the_runs_id_in_every_status() {
        let approval =
            json!([{ "kind": "approval", "task": "54999d12:sign:1", "step": "sign", "title": "Ship it?" }]);
        let timer = json!([{ "kind": "timer", "step": "rest", "at": "2026-11-24T09:00:00Z" }]);
        for (status, awaits, shown) in [
            ("queued", json!([]), "working"),
            ("waiting", timer, "working"),
            ("waiting", approval.clone(), "input_required"),
            ("running", approval, "input_required"),
            ("succeeded", json!([]), "completed"),
            ("failed", json!([]), "failed"),
            ("cancelled", json!([]), "cancelled"),
        ] {
            let view = view(status, awaits);
            let task = serde_json::to_value(detailed(&view, AskingBy::Forms)).unwrap();
            assert_eq!((&task["status"], &task["taskId"]), (&json!(shown), &view["id"]));
            assert!(task["ttlMs"].is_null(), "runs do not expire");
        }
    }

    #[test]
    fn a_client_without_forms_is_shown_that_input_is_required_and_no_form() {
        let view = view(
            "waiting",
            json!([{ "kind": "approval", "task": "54999d12:sign:1", "step": "sign", "title": "Ship it?" }]),
        );
        let task = serde_json::to_value(detailed(&view, AskingBy::Tools)).unwrap();
        assert_eq!(task["inputRequests"], json!({}));
        assert_eq!(task["statusMessage"], "waiting: approval 54999d12:sign:1 asks: Ship it?");
        let task = serde_json::to_value(detailed(&view, AskingBy::Forms)).unwrap();
        assert_eq!(task["inputRequests"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn the_end_of_a_run_is_the_result_or_the_error_of_its_task() {
        let done = serde_json::to_value(detailed(&view("succeeded", json!([])), AskingBy::Tools)).unwrap();
        assert_eq!(done["result"]["structuredContent"]["output"]["size"], 3);
        let failed = serde_json::to_value(detailed(&view("failed", json!([])), AskingBy::Tools)).unwrap();
        assert_eq!(failed["error"]["message"], "the tests fail");
        assert_eq!(failed["error"]["data"]["short_id"], "54999d12");
    }
}
