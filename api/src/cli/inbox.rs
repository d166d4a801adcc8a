//! `inbox`, `approve`, `reject`.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

use super::args::{DecideArgs, InboxArgs};
use super::context::Context;
use super::format::{cut, span, table};
use super::output::note;
use super::show::what_next;
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::view::RunView;

pub(crate) async fn run(context: &Context, args: InboxArgs) -> Result<u8, Fault> {
    let params = query([("role", args.role)]);
    let page: Value = context.client.get(&format!("/api/v1/inbox{params}")).await?;
    if context.json {
        context.out.json(&page)?;
        return Ok(0);
    }
    let tasks = page["items"].as_array().cloned().unwrap_or_default();
    if tasks.is_empty() {
        note("nobody is asked anything");
        return Ok(0);
    }
    context.out.line(list(&tasks, clock::now()));
    context.out.line("");
    for task in tasks.iter().take(3) {
        context.out.line(format!("  {} {}", context.program, command(task)));
    }
    Ok(0)
}

/// The open tasks as a table.
pub(crate) fn list(tasks: &[Value], now: Timestamp) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = tasks.iter().map(|task| {
        let since = task["since"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let what = task["title"].as_str().or(task["message"].as_str()).unwrap_or_default();
        let roles: Vec<String> = task["terms"]["roles"].as_array().into_iter().flatten().map(text).collect();
        [
            text(&task["id"]),
            text(&task["kind"]),
            text(&task["pipeline"]),
            since.map(|since| span(now.since(since))).unwrap_or_default(),
            if roles.is_empty() { "anyone".to_owned() } else { roles.join(", ") },
            cut(what, 70),
        ]
    });
    table(["TASK", "KIND", "PIPELINE", "AGE", "WHO", "WHAT"], rows)
}

/// What to type about a task.
fn command(task: &Value) -> String {
    let id = task["id"].as_str().unwrap_or_default();
    match task["kind"].as_str() {
        Some("blocked") => {
            let (run, step) = (task["short_id"].as_str(), task["step"].as_str());
            format!("unblock {} {} --decision retry", run.unwrap_or_default(), step.unwrap_or_default())
        }
        _approval => format!("approve {id}"),
    }
}

pub(crate) async fn decide(context: &Context, args: DecideArgs, decision: &str) -> Result<u8, Fault> {
    let mut body = json!({ "decision": decision });
    if let Some(message) = &args.message {
        body["comment"] = json!(message);
    }
    let path = format!("/api/v1/inbox/{}", encode(&args.task));
    let view: RunView = context.client.post(&path, &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    let word = if decision == "approve" { "approved" } else { "rejected" };
    context.out.line(format!("{word}; run {} is {}", view.short_id, view.status));
    context.out.raw(&(what_next(&view, &context.program).join("\n") + "\n"));
    Ok(0)
}
