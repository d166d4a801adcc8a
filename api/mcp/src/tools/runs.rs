//! Tools that look at runs: the list, one run, why it is where it is, waiting for it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{ToolAnswer, picked};
use crate::call::ToolCall;
use crate::followed_run::{WaitFor, followed};
use crate::problem::RestProblem;
use crate::rest::{encoded, with_query};
use crate::run_outline::{is_ended, outline, row};
use crate::tool::{RunTool, ToolEffect, ToolOutcome, ToolRole};

/// Tools that look at runs.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            (
                "list_runs",
                "List runs",
                "Runs, newest first, in short. `filter` takes any condition over their fields. Begin here, or with list_inbox for what waits for a decision.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            list,
        ),
        RunTool::new(
            (
                "show_run",
                "Show a run",
                "Where a run is: status, steps with rounds and gates, what it asks people (`inbox`), how it failed, its input and output. With `version` or `at`: as it was then.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            show,
        ),
        RunTool::new(
            (
                "why",
                "Why a run is where it is",
                "The causes in sentences, each with its own causes: what a run or a step waits for, why it failed or was reworked. Without a run: why nothing happens.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            why,
        ),
        RunTool::new(
            (
                "wait_for_run",
                "Wait for a run",
                "Waits until a run has ended or asks people, at most 50 seconds; says how far it is. Call it again while the run goes on.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            wait,
        ),
    ]
}

/// Items of a list that nothing more was asked of.
pub(crate) const LIMIT: u32 = 10;

/// The arguments of `list_runs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunListInput {
    /// Only runs of which this expression (CEL) is true: `status == 'failed' && cost > 2.0 && started_at > now -
    /// duration('7d') && labels.team == 'blue' && failure.code == 'TIMEOUT'`. A misspelt name is answered with the right one.
    filter: Option<String>,
    /// Only these statuses, separated by commas: queued, running, waiting, paused, blocked, stopping, succeeded, failed,
    /// cancelled.
    status: Option<String>,
    /// Only runs of the pipeline of this name.
    pipeline: Option<String>,
    /// Only runs with these labels: `KEY:VALUE`, several separated by commas.
    label: Option<String>,
    /// Only runs whose title has these words.
    search: Option<String>,
    /// `-started` (the default, newest first), `started`, `-ended`, `ended`, or a field such as `-cost` or `elapsed`.
    sort: Option<String>,
    /// The list as it was: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// How many at most; 10 unless given.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
    /// true: each run with all its fields.
    full: Option<bool>,
}

/// Lists runs.
pub(crate) async fn list(call: ToolCall, input: RunListInput) -> Result<ToolAnswer, RestProblem> {
    let params = [
        ("filter", input.filter),
        ("status", input.status),
        ("pipeline", input.pipeline),
        ("label", input.label),
        ("q", input.search),
        ("sort", input.sort),
        ("at", input.at),
        ("limit", Some(input.limit.unwrap_or(LIMIT).to_string())),
        ("cursor", input.cursor),
    ];
    let page = call.rest.get(&with_query("/runs", &params)).await?;
    Ok(ToolAnswer::list(&page, input.full.unwrap_or(false), row))
}

/// The arguments of `show_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowRunInput {
    /// The run: its id, its short id (8 digits), `@` for the newest, or the work item that its label `item` names.
    run: String,
    /// The run as it was at this version (the number of an event).
    #[schemars(range(min = 1))]
    version: Option<u64>,
    /// The run as it was: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// true: all its fields.
    full: Option<bool>,
}

/// Shows a run, now or at a moment.
pub(crate) async fn show(call: ToolCall, input: ShowRunInput) -> Result<ToolAnswer, RestProblem> {
    let run = encoded(&input.run);
    let path = match (&input.version, &input.at) {
        (None, None) => format!("/runs/{run}"),
        _then => {
            let params = [("version", input.version.map(|version| version.to_string())), ("at", input.at)];
            with_query(&format!("/runs/{run}/state"), &params)
        }
    };
    let view = call.rest.get(&path).await?;
    Ok(match input.full.unwrap_or(false) {
        true => ToolAnswer::sized(view, true),
        false => ToolAnswer::short(outline(&view)),
    })
}

/// The arguments of `why`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhyInput {
    /// The run; without one, why nothing happens in the whole folder: queues, limits, pauses, budgets, missing workers.
    run: Option<String>,
    /// Only why this step is where it is.
    step: Option<String>,
    /// Why it was where it was: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// true: each cause with its subject, its values and the event that shows it.
    full: Option<bool>,
}

/// Says why.
pub(crate) async fn why(call: ToolCall, input: WhyInput) -> Result<ToolAnswer, RestProblem> {
    let path = match &input.run {
        Some(run) => {
            with_query(&format!("/runs/{}/why", encoded(run)), &[("step", input.step), ("at", input.at)])
        }
        None if input.step.is_some() || input.at.is_some() => {
            return Err(RestProblem::invalid("`step` and `at` need a `run`"));
        }
        None => "/why".to_owned(),
    };
    let why = call.rest.get(&path).await?;
    if input.full.unwrap_or(false) {
        return Ok(ToolAnswer::sized(why, true));
    }
    let mut shown = picked(
        &why,
        &["short_id", "title", "status", "step", "step_status", "version", "at", "open", "running"],
    );
    shown["causes"] = causes(&why["causes"]);
    Ok(ToolAnswer::short(shown))
}

/// The causes in sentences.
fn causes(of: &Value) -> Value {
    let sentence = |cause: &Value| {
        let mut shown = picked(cause, &["sentence", "since", "until"]);
        shown["because"] = causes(&cause["because"]);
        shown
    };
    of.as_array().into_iter().flatten().map(sentence).collect()
}

/// The arguments of `wait_for_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitInput {
    /// The run.
    run: String,
    /// `attention` (the default): until it has ended or people are asked something; `end`: until it has ended.
    until: Option<WaitFor>,
    /// For how many seconds at most, 30 unless given, 50 at most.
    seconds: Option<u64>,
}

/// Seconds of a wait that are not said.
const SECONDS: u64 = 30;

/// Waits for a run.
pub(crate) async fn wait(call: ToolCall, input: WaitInput) -> Result<ToolOutcome, RestProblem> {
    let wait_for = input.until.unwrap_or(WaitFor::Attention);
    let view = followed(&call, &input.run, wait_for, input.seconds.unwrap_or(SECONDS)).await?;
    let mut shown = outline(&view);
    if let Value::Object(fields) = &mut shown {
        next(&view, fields);
    }
    Ok(ToolAnswer::short(shown).into())
}

/// Says what to call next.
pub(crate) fn next(view: &Value, fields: &mut Map<String, Value>) {
    let short_id = view["short_id"].as_str().unwrap_or_default();
    let next = match () {
        () if is_ended(view) => return,
        () if fields.contains_key("inbox") => {
            "decide on what stands in `inbox`: `decide`, or `unblock_step`".to_owned()
        }
        () => format!("it goes on: `wait_for_run` with run {short_id}"),
    };
    fields.insert("next".to_owned(), json!(next));
}
