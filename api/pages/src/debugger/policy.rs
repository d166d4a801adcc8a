//! Another policy on the recorded evidence of a gate.

use serde::Deserialize;
use serde_json::json;

use super::event::PastEvent;
use crate::problem::Problem;
use crate::rest::CallerRest;
use axum::http::Method;

/// Verdicts that one answer judges again.
const PART: u64 = 1_000;
/// Answers that are read until the verdict in question is reached: newer ones come first.
const PARTS_MAX: usize = 5;

/// What another policy says of one verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RejudgedOutcome {
    /// The same.
    Same,
    /// Another verdict, and why.
    Other { verdict: String, reason: String },
    /// The policy cannot be evaluated on this evidence.
    Failed(String),
    /// There was no evidence to judge: the gate did not apply, or its probe failed.
    NoEvidence,
    /// So many newer verdicts that this one was not reached.
    TooFar,
}

/// What another policy says of one verdict, and of all of the same gate since then.
#[derive(Debug, Clone)]
pub(crate) struct RejudgedGate {
    pub(crate) outcome: RejudgedOutcome,
    /// Verdicts of the gate in all runs of the pipeline since this one.
    pub(crate) verdicts: u64,
    pub(crate) others: u64,
}

/// A part of the answer of `POST /audit/backtest`.
#[derive(Debug, Deserialize)]
pub(crate) struct Backtest {
    pub(crate) verdicts: u64,
    pub(crate) changed: u64,
    pub(crate) failed: u64,
    pub(crate) items: Vec<BacktestItem>,
    pub(crate) next_cursor: Option<String>,
}

/// A verdict that would be another one, or none.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BacktestItem {
    pub(crate) run: String,
    pub(crate) version: u64,
    pub(crate) judged: Option<JudgedVerdict>,
    pub(crate) problem: Option<String>,
}

/// A verdict and its reason.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JudgedVerdict {
    pub(crate) verdict: String,
    #[serde(default)]
    pub(crate) reason: String,
}

/// Gives the verdicts of a gate since a time again by another policy; false: there are more than were judged.
pub(crate) async fn backtest(
    rest: &CallerRest,
    (gate, pipeline): (&str, &str),
    policy: &str,
    since: &str,
    mut take: impl FnMut(Backtest),
) -> Result<bool, Problem> {
    let mut cursor: Option<String> = None;
    for _ in 0..PARTS_MAX {
        let mut body =
            json!({ "gate": gate, "policy": policy, "pipeline": pipeline, "since": since, "limit": PART });
        if let Some(cursor) = &cursor {
            body["cursor"] = json!(cursor);
        }
        let answer = rest.write(Method::POST, "/audit/backtest", &body, None).await?;
        let mut part: Backtest = serde_json::from_value(answer).map_err(|error| {
            Problem::within(format!("the answer of the backtest cannot be read: {error}"))
        })?;
        cursor = part.next_cursor.take();
        take(part);
        if cursor.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Judges the evidence of one recorded verdict by another policy.
pub(crate) async fn rejudged(
    rest: &CallerRest,
    run: &str,
    pipeline: &str,
    event: &PastEvent,
    policy: &str,
) -> Result<RejudgedGate, Problem> {
    let gate = event.gate().unwrap_or_default();
    let (mut verdicts, mut others, mut found) = (0, 0, None);
    let reached = backtest(rest, (gate, pipeline), policy, &just_before(&event.recorded_at), |part| {
        verdicts += part.verdicts;
        others += part.changed + part.failed;
        found = part
            .items
            .into_iter()
            .find(|item| item.run == run && item.version == event.version)
            .or(found.take());
    })
    .await?;
    let outcome = match found {
        Some(item) => match (item.judged, item.problem) {
            (Some(judged), _) => RejudgedOutcome::Other { verdict: judged.verdict, reason: judged.reason },
            (None, problem) => RejudgedOutcome::Failed(problem.unwrap_or_default()),
        },
        None if event.event["evidence"].is_null() => RejudgedOutcome::NoEvidence,
        None if reached => RejudgedOutcome::Same,
        None => RejudgedOutcome::TooFar,
    };
    Ok(RejudgedGate { outcome, verdicts, others })
}

/// A second before a time: what was recorded then became durable a little later.
fn just_before(time: &str) -> String {
    let second = std::time::Duration::from_secs(1);
    let earlier = time.parse::<jiff::Timestamp>().ok().and_then(|at| at.checked_sub(second).ok());
    earlier.map_or_else(|| time.to_owned(), |at| at.to_string())
}
