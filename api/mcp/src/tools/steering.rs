//! Tools that steer runs: cancel, signal, unblock.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{ToolAnswer, picked};
use crate::call::ToolCall;
use crate::fit::without_empty;
use crate::problem::RestProblem;
use crate::rest::encoded;
use crate::run_outline::outline;
use crate::tool::{RunTool, ToolEffect, ToolRole};

/// Tools that steer runs.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            (
                "signal_run",
                "Send a signal",
                "Tells a run by a named signal that something happened; says which part of it took the signal.",
            ),
            ToolRole::Operator,
            ToolEffect::Adds,
            signal,
        ),
        RunTool::new(
            (
                "unblock_step",
                "Decide on a blocked step",
                "Says how a blocked step goes on: retry, recheck, proceed, skip or fail. `proceed` and `skip` pass over its gates, which is recorded.",
            ),
            ToolRole::Operator,
            ToolEffect::Ends,
            unblock,
        ),
        RunTool::new(
            (
                "cancel_run",
                "Cancel a run",
                "Ends a run, or one step of it, before its time. Its processes are stopped; it cannot be taken back.",
            ),
            ToolRole::Operator,
            ToolEffect::Ends,
            cancel,
        ),
    ]
}

/// The arguments of `cancel_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelInput {
    /// The run.
    run: String,
    /// Only this step, or item `STEP.ITEM`; else the whole run.
    step: Option<String>,
    /// Why; it is recorded.
    reason: Option<String>,
    /// The same key again does nothing more and gives the same answer.
    idempotency_key: Option<String>,
}

/// Ends a run, or a step of it.
pub(crate) async fn cancel(call: ToolCall, input: CancelInput) -> Result<ToolAnswer, RestProblem> {
    let body = without_empty(json!({ "step": input.step, "reason": input.reason }));
    let path = format!("/runs/{}/cancel", encoded(&input.run));
    let view = call.rest.post(&path, &body, input.idempotency_key.as_deref()).await?;
    Ok(ToolAnswer::short(outline(&view)))
}

/// The arguments of `signal_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalInput {
    /// The run.
    run: String,
    /// The name of the signal.
    name: String,
    /// What it brings.
    payload: Option<Map<String, Value>>,
    /// The same key again does nothing more and gives the same answer.
    idempotency_key: Option<String>,
}

/// Sends a signal to a run.
pub(crate) async fn signal(call: ToolCall, input: SignalInput) -> Result<ToolAnswer, RestProblem> {
    let body = json!({ "payload": input.payload });
    let path = format!("/runs/{}/signals/{}", encoded(&input.run), encoded(&input.name));
    let answer = call.rest.post(&path, &body, input.idempotency_key.as_deref()).await?;
    let mut shown = picked(&answer, &["taken", "reason", "repeated"]);
    shown["run"] = outline(&answer["run"]);
    Ok(ToolAnswer::short(shown))
}

/// How a blocked step goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepDecision {
    /// Its work is done again.
    Retry,
    /// Its gates are judged again on the same work.
    Recheck,
    /// It counts as succeeded; needs a reason.
    Proceed,
    /// It is passed over.
    Skip,
    /// It fails, and what the pipeline says of that follows.
    Fail,
}

/// The arguments of `unblock_step`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnblockInput {
    /// The run.
    run: String,
    /// The blocked step; where one alone is blocked it may be left out.
    step: Option<String>,
    /// How it goes on.
    decision: StepDecision,
    /// Why; `proceed` needs it. It is recorded.
    reason: Option<String>,
    /// Of `proceed`: the output of the step.
    output: Option<Value>,
    /// The same key again does nothing more and gives the same answer.
    idempotency_key: Option<String>,
}

/// Decides on a blocked step.
pub(crate) async fn unblock(call: ToolCall, input: UnblockInput) -> Result<ToolAnswer, RestProblem> {
    let mut body = Map::new();
    body.insert("decision".to_owned(), json!(input.decision));
    for (name, value) in [
        ("step", input.step.map(Value::String)),
        ("reason", input.reason.map(Value::String)),
        ("output", input.output),
    ] {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    let path = format!("/runs/{}/unblock", encoded(&input.run));
    let view = call.rest.post(&path, &Value::Object(body), input.idempotency_key.as_deref()).await?;
    Ok(ToolAnswer::short(outline(&view)))
}
