//! Tools that look at what happened: events, logs, differences, decisions.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::runs::LIMIT;
use crate::answer::{FULL_BYTES, SHORT_BYTES, ToolAnswer, picked};
use crate::call::ToolCall;
use crate::problem::RestProblem;
use crate::rest::{encoded, with_query};
use crate::tool::{RunTool, ToolEffect, ToolRole};

/// Tools that look at what happened.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            ("read_log", "Read a log", "The last lines that the work of a step wrote, also while it writes."),
            ToolRole::Viewer,
            ToolEffect::Reads,
            log,
        ),
        RunTool::new(
            (
                "list_events",
                "List the events of a run",
                "Everything that happened to a run, in order: each event with its version, time and actor. show_run with that version shows the state after it.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            events,
        ),
        RunTool::new(
            (
                "diff_runs",
                "Compare runs",
                "What changed between two versions of a run, or between two runs: the first point at which they differ, and the differences.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            diff,
        ),
        RunTool::new(
            (
                "list_decisions",
                "List decisions",
                "The audit: verdicts of gates with their reasons, votes, answers, overrides, reworks and cancellations, newest first, each with who decided.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            decisions,
        ),
    ]
}

/// The arguments of `list_events`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventListInput {
    /// The run.
    run: String,
    /// From this version on; 1 unless given.
    from: Option<u64>,
    /// How many at most; 20 unless given.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
    /// true: each event with its hash, its cause and all it holds.
    full: Option<bool>,
}

/// Lists the events of a run.
pub(crate) async fn events(call: ToolCall, input: EventListInput) -> Result<ToolAnswer, RestProblem> {
    let params = [
        ("from", input.from.map(|from| from.to_string())),
        ("limit", Some(input.limit.unwrap_or(2 * LIMIT).to_string())),
        ("cursor", input.cursor),
    ];
    let path = with_query(&format!("/runs/{}/events", encoded(&input.run)), &params);
    let page = call.rest.get(&path).await?;
    Ok(ToolAnswer::list(&page, input.full.unwrap_or(false), |event| {
        picked(event, &["version", "recorded_at", "actor", "event"])
    }))
}

/// The arguments of `read_log`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInput {
    /// The run.
    run: String,
    /// The step; `STEP.ITEM` for an item of a foreach.
    step: String,
    /// The round; the newest unless given.
    round: Option<u32>,
    /// The attempt in the round; the newest unless given.
    attempt: Option<u32>,
    /// So many lines from the end; 50 unless given.
    tail: Option<u32>,
}

/// Lines of a log that nothing more was asked of.
const LINES: u32 = 50;

/// Reads the end of a log.
pub(crate) async fn log(call: ToolCall, input: LogInput) -> Result<ToolAnswer, RestProblem> {
    let run = encoded(&input.run);
    let (round, attempt) = match (input.round, input.attempt) {
        (Some(round), Some(attempt)) => (round, attempt),
        (round, attempt) => {
            let view = call.rest.get(&format!("/runs/{run}")).await?;
            let (newest_round, newest_attempt) = newest(&view, &input.step)?;
            let round = round.unwrap_or(newest_round);
            (round, attempt.unwrap_or(if round == newest_round { newest_attempt } else { 1 }))
        }
    };
    let tail = input.tail.unwrap_or(LINES);
    let path = format!("/runs/{run}/attempts/{}/{round}/{attempt}/log", encoded(&input.step));
    let bytes_max = if tail > LINES { FULL_BYTES } else { SHORT_BYTES } / 2;
    let (text, is_whole) =
        call.rest.text_end(&with_query(&path, &[("tail", Some(tail.to_string()))]), bytes_max).await?;
    let cut = if is_whole { Value::Null } else { json!("the beginning is left out; read fewer lines") };
    let shown = json!({ "step": input.step, "round": round, "attempt": attempt, "log": text, "cut": cut });
    Ok(ToolAnswer::sized(shown, tail > LINES))
}

/// The newest round and attempt of a step.
fn newest(view: &Value, step: &str) -> Result<(u32, u32), RestProblem> {
    let steps: Vec<&Value> = view["steps"].as_array().into_iter().flatten().collect();
    let number =
        |step: &Value, name: &str| step[name].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let own = step.split('.').next().unwrap_or(step);
    match steps
        .iter()
        .find(|known| known["id"] == step)
        .or_else(|| steps.iter().find(|known| known["id"] == own))
    {
        Some(step) => Ok((number(step, "round").max(1), number(step, "attempt").max(1))),
        None => {
            let names: Vec<&str> = steps.iter().filter_map(|step| step["id"].as_str()).take(50).collect();
            Err(RestProblem::invalid(format!("the run has no step “{step}”"))
                .hint(format!("its steps: {}", names.join(", "))))
        }
    }
}

/// The arguments of `diff_runs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffInput {
    /// The run.
    run: String,
    /// Another run that it is compared with; without one, two moments of the run.
    #[schemars(length(min = 1))]
    other: Option<String>,
    /// The version that the difference begins at; 1 unless given.
    from: Option<u64>,
    /// The version that it ends at; the newest unless given.
    to: Option<u64>,
    /// true: whole values, and each round of two runs.
    full: Option<bool>,
}

/// Compares two moments of a run, or two runs.
pub(crate) async fn diff(call: ToolCall, input: DiffInput) -> Result<ToolAnswer, RestProblem> {
    let run = encoded(&input.run);
    let full = input.full.unwrap_or(false);
    let Some(other) = &input.other else {
        let [from, to] = [input.from, input.to].map(|version| version.map(|version| version.to_string()));
        let diff =
            call.rest.get(&with_query(&format!("/runs/{run}/diff"), &[("from", from), ("to", to)])).await?;
        let fields = ["short_id", "from", "to", "changes", "steps", "rounds", "events_total"];
        return Ok(ToolAnswer::sized(if full { diff } else { picked(&diff, &fields) }, full));
    };
    if input.from.is_some() || input.to.is_some() {
        return Err(RestProblem::invalid(
            "`from` and `to` are of one run; two runs are compared as they are",
        ));
    }
    let diff = call.rest.get(&format!("/runs/{run}/diff/{}", encoded(other))).await?;
    let fields = ["runs", "same_input", "same_definition", "first", "rounds_total", "differences"];
    Ok(ToolAnswer::sized(if full { diff } else { picked(&diff, &fields) }, full))
}

/// The arguments of `list_decisions`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionListInput {
    /// Only of this run.
    run: Option<String>,
    /// Only these kinds, separated by commas: gate, vote, approval, answer, expiry, override, recheck, unjudged, rework, cancel.
    kind: Option<String>,
    /// Only verdicts of this gate, and the rework that it ordered.
    gate: Option<String>,
    /// Only verdicts of gates that are this: pass, fail, pending, skipped.
    verdict: Option<String>,
    /// Only of runs of the pipeline of this name.
    pipeline: Option<String>,
    /// Only by this actor: `user:ada`, `token:ci`, `engine`.
    actor: Option<String>,
    /// Only decisions of which this expression (CEL) is true: `kind == 'override' && actor.startsWith('user:')`.
    filter: Option<String>,
    /// Only from this time on (RFC 3339).
    since: Option<String>,
    /// How many at most; 10 unless given.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
    /// true: each decision with its evidence.
    full: Option<bool>,
}

/// Lists decisions: of gates and of people.
pub(crate) async fn decisions(call: ToolCall, input: DecisionListInput) -> Result<ToolAnswer, RestProblem> {
    let params = [
        ("run", input.run),
        ("kind", input.kind),
        ("gate", input.gate),
        ("verdict", input.verdict),
        ("pipeline", input.pipeline),
        ("actor", input.actor),
        ("filter", input.filter),
        ("since", input.since),
        ("limit", Some(input.limit.unwrap_or(LIMIT).to_string())),
        ("cursor", input.cursor),
    ];
    let page = call.rest.get(&with_query("/audit/decisions", &params)).await?;
    Ok(ToolAnswer::list(&page, input.full.unwrap_or(false), |decision| {
        let mut shown = decision.clone();
        if let Value::Object(fields) = &mut shown {
            fields.retain(|name, _| !matches!(name.as_str(), "evidence" | "run" | "input" | "hash"));
        }
        shown
    }))
}
