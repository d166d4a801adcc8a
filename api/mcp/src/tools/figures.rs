//! Tools of figures: how many runs there are and how they did, and what they used up.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::answer::ToolAnswer;
use crate::call::ToolCall;
use crate::problem::RestProblem;
use crate::rest::with_query;
use crate::tool::{RunTool, ToolEffect, ToolRole};

/// Tools of figures.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            (
                "stats",
                "Figures of runs",
                "How many runs there are in each status; with `by`, `bucket` or `filter` counts, ends, durations and cost by group.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            stats,
        ),
        RunTool::new(
            (
                "spend",
                "What was used up",
                "Tokens and US dollars by run, step, role, model, day, pipeline or label, with the shared budgets.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            spend,
        ),
    ]
}

/// The arguments of `stats`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsInput {
    /// Fields that runs are grouped by, separated by commas: `pipeline,labels.team`. Each group has its count, how runs
    /// ended, how long they took (p50, p95) and what they cost.
    by: Option<String>,
    /// Stretches of time that runs are grouped by the start of: `1d`, `1h`.
    bucket: Option<String>,
    /// Only runs of which this expression (CEL) is true.
    filter: Option<String>,
    /// The figures as they were: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// true: up to 1,000 groups.
    full: Option<bool>,
}

/// Counts runs.
pub(crate) async fn stats(call: ToolCall, input: StatsInput) -> Result<ToolAnswer, RestProblem> {
    let params = [("by", input.by), ("bucket", input.bucket), ("filter", input.filter), ("at", input.at)];
    let stats = call.rest.get(&with_query("/stats", &params)).await?;
    Ok(ToolAnswer::sized(stats, input.full.unwrap_or(false)))
}

/// The arguments of `spend`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendInput {
    /// run (the default), step, role, model, day, pipeline, or `label:NAME`.
    by: Option<String>,
    /// Only of this run.
    run: Option<String>,
    /// Only of runs of the pipeline of this name.
    pipeline: Option<String>,
    /// From this day on (UTC, 2026-11-20).
    since: Option<String>,
    /// true: all groups.
    full: Option<bool>,
}

/// Says what was used up.
pub(crate) async fn spend(call: ToolCall, input: SpendInput) -> Result<ToolAnswer, RestProblem> {
    let params = [("by", input.by), ("run", input.run), ("pipeline", input.pipeline), ("since", input.since)];
    let spend = call.rest.get(&with_query("/spend", &params)).await?;
    Ok(ToolAnswer::sized(spend, input.full.unwrap_or(false)))
}
