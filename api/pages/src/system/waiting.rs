//! Which runs wait for places, resources, rates and breakers.
//!
//! Law: REST counts who waits, and names it at each run alone; so the runs that go on for longest are looked at, a
//! bounded number, and only while something waits.

use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::facts::Limits;
use crate::frame::Visit;
use crate::pipelines::RestList;

/// Runs that are looked at.
const RUNS_MAX: usize = 20;
/// Rows of the list.
const ROWS_MAX: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunThatWaits {
    short_id: String,
    pipeline: String,
    title: Option<String>,
    in_line: Vec<InLine>,
    in_line_total: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InLine {
    attempt: Value,
    gate: Option<String>,
    since: String,
    reasons: Vec<Value>,
}

/// An attempt, or a probe, that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaitingRow {
    pub(crate) short_id: String,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) gate: Option<String>,
    pub(crate) since: String,
    /// What it waits for, by name.
    pub(crate) what: String,
}

impl WaitingRow {
    /// The page of its step.
    pub(crate) fn path(&self) -> String {
        let step = self.step.split('.').next().unwrap_or_default();
        crate::frame::with_query(&format!("/runs/{}", self.short_id), "step", step)
    }
}

/// Who waits, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct WhoWaits {
    /// Those that wait for longest first.
    pub(crate) rows: Vec<WaitingRow>,
    /// How many more wait than are listed.
    pub(crate) more: u64,
}

/// How many wait for places, and at least so many for the rest.
fn total(limits: &Limits) -> u64 {
    // What waits for a resource waits for a place, too, once it has that.
    let places: u64 = limits.places.iter().map(|pool| pool.waiting).sum();
    let pools = limits.resources.iter().map(|pool| pool.waiting);
    let services = limits.rates.iter().map(|rate| rate.waiting);
    let breakers = limits.breakers.iter().map(|breaker| breaker.waiting);
    places.max(pools.chain(services).chain(breakers).max().unwrap_or(0))
}

/// Reads who waits, where somebody does; a run that cannot be read is left out.
pub(super) async fn who_waits(visit: &Visit, limits: &Limits) -> WhoWaits {
    let total = total(limits);
    if total == 0 {
        return WhoWaits::default();
    }
    let path = format!("/runs?status=running&sort=started&limit={RUNS_MAX}");
    let listed = visit.rest.get::<RestList<RunThatWaits>>(&path).await;
    let paths: Vec<String> =
        listed.into_iter().flat_map(|list| list.items).map(|run| format!("/runs/{}", run.short_id)).collect();
    let runs = join_all(paths.iter().map(|path| visit.rest.get::<RunThatWaits>(path))).await;
    rows(runs.into_iter().flatten(), total)
}

fn rows(runs: impl Iterator<Item = RunThatWaits>, total: u64) -> WhoWaits {
    let mut known = 0;
    let mut rows: Vec<WaitingRow> = Vec::new();
    for run in runs {
        known += run.in_line_total as u64;
        let name = run.title.filter(|title| !title.trim().is_empty()).unwrap_or(run.pipeline);
        rows.extend(run.in_line.into_iter().map(|waiting| WaitingRow {
            short_id: run.short_id.clone(),
            run: name.clone(),
            step: step_of(&waiting.attempt),
            gate: waiting.gate,
            since: waiting.since,
            what: what(&waiting.reasons),
        }));
    }
    rows.sort_by(|one, other| one.since.cmp(&other.since));
    rows.truncate(ROWS_MAX);
    WhoWaits { more: total.max(known).saturating_sub(rows.len() as u64), rows }
}

/// The step of an attempt, with its item.
fn step_of(attempt: &Value) -> String {
    let step = attempt.pointer("/path/step").and_then(Value::as_str).unwrap_or_default();
    match attempt.pointer("/path/item").and_then(Value::as_u64) {
        Some(item) => format!("{step}.{item}"),
        None => step.to_owned(),
    }
}

/// What reasons name, the most telling first.
fn what(reasons: &[Value]) -> String {
    let text = |reason: &Value, key: &str| reason.get(key).and_then(Value::as_str).map(str::to_owned);
    let names = reasons.iter().filter_map(|reason| {
        let name = text(reason, "name").or_else(|| text(reason, "service"))?;
        Some(match text(reason, "kind").as_deref() {
            Some("rate") => format!("the rate of {name}"),
            Some("breaker") => format!("the breaker of {name}"),
            Some("unknown") => format!("{name}, which the settings do not name"),
            _ => name,
        })
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::system::facts::Pool;

    #[test]
    fn who_waits_is_named_with_step_and_resource_the_longest_first() {
        let run: RunThatWaits = serde_json::from_value(json!({
            "short_id": "1a2b3c4d", "pipeline": "train", "title": null, "in_line_total": 3, "in_line": [
                { "attempt": { "path": { "step": "fit", "item": 4 }, "round": 1, "attempt": 1 },
                  "since": "2026-11-22T10:00:02Z", "priority": 0,
                  "reasons": [{ "kind": "resource", "name": "gpu", "in_use": 1, "size": 1, "line": 2 }] },
                { "attempt": { "path": { "step": "ask", "item": null }, "round": 1, "attempt": 1 },
                  "since": "2026-11-22T10:00:01Z", "priority": 0,
                  "reasons": [{ "kind": "rate", "service": "agent.claude", "next": "x", "starts": 1, "per": "1m" }] },
            ],
        }))
        .unwrap();
        let who = rows(std::iter::once(run), 5);
        let said: Vec<_> = who.rows.iter().map(|row| (row.step.as_str(), row.what.as_str())).collect();
        assert_eq!(said, [("ask", "the rate of agent.claude"), ("fit.4", "gpu")]);
        assert_eq!((who.more, who.rows[1].path().as_str()), (3, "/runs/1a2b3c4d?step=fit"));
    }

    #[test]
    fn an_attempt_that_waits_for_a_place_and_a_resource_counts_once() {
        let pool = |name: &str| Pool { name: name.into(), size: 1, in_use: 1, waiting: 2 };
        let limits =
            Limits { places: vec![pool("processes")], resources: vec![pool("gpu")], ..Limits::default() };
        assert_eq!(total(&limits), 2);
        assert_eq!(total(&Limits::default()), 0);
    }
}
