//! Tools that make runs: start, retry, fork.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::runs::next;
use crate::answer::ToolAnswer;
use crate::call::ToolCall;
use crate::followed_run::{WaitFor, followed};
use crate::problem::RestProblem;
use crate::rest::encoded;
use crate::run_outline::outline;
use crate::tool::{RunTool, ToolEffect, ToolOutcome, ToolRole};

/// Tools that make runs.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            (
                "start_run",
                "Start a run",
                "Starts a run of a pipeline. It goes on whatever becomes of this client; a client that knows tasks follows it as a task, others call wait_for_run.",
            ),
            ToolRole::Operator,
            ToolEffect::Adds,
            start,
        ),
        RunTool::new(
            (
                "retry_run",
                "Retry a run",
                "Tries again what blocks a run; of a run that has failed, in a new run that goes on from its history.",
            ),
            ToolRole::Operator,
            ToolEffect::Adds,
            retry,
        ),
        RunTool::new(
            (
                "fork_run",
                "Fork a run",
                "A new run that goes on from a past moment of a run, with changed input if given. The run itself stays as it is.",
            ),
            ToolRole::Operator,
            ToolEffect::Adds,
            fork,
        ),
    ]
}

/// The arguments of `start_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartInput {
    /// The name of a saved or built-in pipeline; `NAME@N` for a version.
    pipeline: Option<String>,
    /// In place of `pipeline`: the text of a pipeline file (YAML).
    definition: Option<String>,
    /// The input: an object by the `input` schema of show_pipeline.
    input: Option<Map<String, Value>>,
    /// A line for readers.
    title: Option<String>,
    /// Labels by which the run is found.
    labels: Option<BTreeMap<String, String>>,
    /// A name that you give this start: the same key again starts nothing more and gives the same run. Give one, so that
    /// you may repeat a call whose answer was lost.
    idempotency_key: Option<String>,
    /// Wait so many seconds (50 at most) until it has ended or asks people.
    wait_seconds: Option<u64>,
    /// true: answer with the run at once, also where this client follows a run as a task.
    detach: Option<bool>,
}

/// Starts a run.
pub(crate) async fn start(call: ToolCall, input: StartInput) -> Result<ToolOutcome, RestProblem> {
    let mut body = Map::new();
    for (name, value) in [
        ("pipeline", input.pipeline.map(Value::String)),
        ("definition", input.definition.map(Value::String)),
        ("input", input.input.map(Value::Object)),
        ("title", input.title.map(Value::String)),
        ("labels", input.labels.map(|labels| json!(labels))),
        ("cwd", call.rest.cwd().map(|cwd| json!(cwd))),
        // The owner of the folder drives the run, also when this client is gone.
        ("detach", Some(json!(true))),
    ] {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    let view = call.rest.post("/runs", &Value::Object(body), input.idempotency_key.as_deref()).await?;
    going_on(call, view, input.wait_seconds, input.detach).await
}

/// The arguments of `retry_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryInput {
    /// The run.
    run: String,
    /// Only this step; else all that block it or made it fail.
    step: Option<String>,
    /// The same key again does nothing more and gives the same answer.
    idempotency_key: Option<String>,
    /// Wait so many seconds (50 at most) until it has ended or asks people.
    wait_seconds: Option<u64>,
    /// true: answer with the run at once, also where this client follows a run as a task.
    detach: Option<bool>,
}

/// Tries again what blocks a run, or what made an ended one fail.
pub(crate) async fn retry(call: ToolCall, input: RetryInput) -> Result<ToolOutcome, RestProblem> {
    let body = json!({ "step": input.step, "detach": true });
    let path = format!("/runs/{}/retry", encoded(&input.run));
    let view = call.rest.post(&path, &body, input.idempotency_key.as_deref()).await?;
    going_on(call, view, input.wait_seconds, input.detach).await
}

/// The arguments of `fork_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForkInput {
    /// The run.
    run: String,
    /// Go on from this version of it (the number of an event); this or `at`.
    #[schemars(range(min = 1))]
    version: Option<u64>,
    /// Go on from this moment: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// Fields of the input that take the place of the origin's.
    input: Option<Map<String, Value>>,
    /// A line for readers.
    title: Option<String>,
    /// The new run pauses before this step.
    until_step: Option<String>,
    /// true: what acts outside does so (requests that write, pull requests, notices); else that is held back.
    live: Option<bool>,
    /// true: work that is given what work of the origin was given ends as that did, and only the rest is done.
    replay_effects: Option<bool>,
    /// The same key again makes nothing more and gives the same run.
    idempotency_key: Option<String>,
    /// Wait so many seconds (50 at most) until it has ended or asks people.
    wait_seconds: Option<u64>,
    /// true: answer with the run at once, also where this client follows a run as a task.
    detach: Option<bool>,
}

/// Goes on from a moment of a run, as a new run.
pub(crate) async fn fork(call: ToolCall, input: ForkInput) -> Result<ToolOutcome, RestProblem> {
    let body = crate::fit::without_empty(json!({
        "version": input.version, "at": input.at, "input": input.input, "title": input.title,
        "until_step": input.until_step, "live": input.live, "replay_effects": input.replay_effects, "detach": true,
    }));
    let path = format!("/runs/{}/fork", encoded(&input.run));
    let view = call.rest.post(&path, &body, input.idempotency_key.as_deref()).await?;
    going_on(call, view, input.wait_seconds, input.detach).await
}

/// A run that goes on: as a task, after a wait, or at once.
async fn going_on(
    call: ToolCall,
    view: Value,
    wait_seconds: Option<u64>,
    detach: Option<bool>,
) -> Result<ToolOutcome, RestProblem> {
    let is_detached = detach.unwrap_or(false);
    let view = match (wait_seconds, view["id"].as_str()) {
        (Some(seconds), Some(run)) if !is_detached => {
            followed(&call, run, WaitFor::Attention, seconds).await?
        }
        (None, Some(_)) if !is_detached && call.takes_tasks => return Ok(ToolOutcome::Run(view)),
        _at_once => view,
    };
    let mut shown = outline(&view);
    if let Value::Object(fields) = &mut shown {
        next(&view, fields);
    }
    Ok(ToolAnswer::short(shown).into())
}
