//! Tools of figures: how many runs there are and how they did, what they used up, and what their history shows.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{ToolAnswer, picked};
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
        RunTool::new(
            (
                "insights",
                "What the history shows",
                "What to improve, by the newest runs: gates that never failed, reworks that never helped, flaky steps and gates, where time goes (queues, machines, people), cost per success. Each has a query that `ask` takes.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            insights,
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

/// Rows of an insight that nothing more was asked of.
const INSIGHT_ROWS: u32 = 5;

/// The arguments of `insights`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InsightsInput {
    /// Only these insights, separated by commas: gates, reworks, flaky, time, cost. All unless given.
    only: Option<String>,
    /// Only of runs of the pipeline of this name.
    pipeline: Option<String>,
    /// Only of runs that began from this time on (RFC 3339).
    since: Option<String>,
    /// Of so many runs at most, the newest; 1,000 unless given. Fewer where it takes too long.
    #[schemars(range(min = 1))]
    runs: Option<u32>,
    /// Gates with fewer verdicts and routes with fewer reworks are left out; 3 unless given.
    #[schemars(range(min = 1))]
    at_least: Option<u32>,
    /// Rows of each insight at most; 5 unless given.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// What was known then: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// true: each insight with its query, and how the tables were read.
    full: Option<bool>,
}

/// Says what the history of runs shows.
pub(crate) async fn insights(call: ToolCall, input: InsightsInput) -> Result<ToolAnswer, RestProblem> {
    let params = [
        ("only", input.only),
        ("pipeline", input.pipeline),
        ("since", input.since),
        ("runs", input.runs.map(|runs| runs.to_string())),
        ("at_least", input.at_least.map(|cases| cases.to_string())),
        ("limit", Some(input.limit.unwrap_or(INSIGHT_ROWS).to_string())),
        ("at", input.at),
    ];
    let answer = call.rest.get(&with_query("/insights", &params)).await?;
    let full = input.full.unwrap_or(false);
    let mut shown =
        if full { answer.clone() } else { picked(&answer, &["runs", "ended", "position", "items"]) };
    let items = answer["items"].as_array().into_iter().flatten();
    shown["items"] = items.map(|insight| shown_insight(insight, full)).collect();
    Ok(ToolAnswer::sized(shown, full))
}

/// An insight with the names of its columns; in short without its query, and with what its rows are only where it has some.
fn shown_insight(insight: &Value, full: bool) -> Value {
    let about = if insight["none"].is_null() { "about" } else { "none" };
    let mut shown =
        if full { insight.clone() } else { picked(insight, &["name", about, "rows", "truncated"]) };
    let names = insight["columns"].as_array().into_iter().flatten().map(|column| column["name"].clone());
    shown["columns"] = if full || insight["none"].is_null() { names.collect() } else { json!([]) };
    shown
}
