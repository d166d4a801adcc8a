//! `/runs/{run}/debug/replay`: what would be decided today on what happened then.
//!
//! Two questions: whether today's engine decides as then on the definition that the run is pinned to, and whether the
//! pipeline as it is saved today would judge the recorded evidence the same way.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::address::run_name;
use super::event::spaced;
use super::policy::{BacktestItem, backtest};
use super::tree::Tree;
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};

/// Gates whose policy is another one now that are judged again; each costs an answer of its own.
const GATES_MAX: usize = 8;

/// The answer of `GET /runs/{run}/replay`.
#[derive(Debug, Deserialize)]
struct ReplayAnswer {
    inputs: u64,
    events: u64,
    #[serde(default)]
    verdicts: u64,
    differences: Vec<ReplayDifference>,
}

#[derive(Debug, Deserialize)]
struct ReplayDifference {
    version: u64,
    fact: String,
    recorded: Value,
    decided: Value,
    message: String,
}

impl ReplayDifference {
    fn tree(&self) -> Tree {
        Tree::of(&self.recorded, &self.decided, &["type", "verdict"])
    }

    fn kind(&self, value: &Value) -> String {
        value["type"].as_str().map_or_else(|| "nothing".to_owned(), spaced)
    }
}

/// A saved pipeline, as far as it is compared.
#[derive(Debug, Deserialize)]
struct SavedPipeline {
    hash: String,
    version: Option<u64>,
    document: Value,
}

/// A gate whose policy is another one today.
#[derive(Debug)]
struct OtherGate {
    gate: String,
    /// None: the default of the gate's kind, which only the engine can judge by.
    policy: Option<String>,
    /// The verdicts of this run that would be others.
    items: Vec<BacktestItem>,
    problem: Option<Problem>,
}

#[derive(Template)]
#[template(path = "debugger/replay.html")]
struct ReplayPage {
    frame: Frame,
    head: RunHead,
    replay: ReplayAnswer,
    /// The pipeline as it is saved today; none: nobody saved it, or not any more.
    saved: Option<SavedPipeline>,
    /// What is different in it.
    changes: Tree,
    gates: Vec<OtherGate>,
    left_out: usize,
}

impl ReplayPage {
    fn at(&self, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", self.head.facts.short_id))
    }

    /// Where the run is begun anew with today's definition: as a fork where it goes on, else from its start.
    fn path_with(&self, saved: &SavedPipeline) -> String {
        let facts = &self.head.facts;
        let path = match facts.is_ended() {
            true => format!("/runs/{}/act/restart", facts.short_id),
            false => format!("/runs/{}/act/fork?version={}", facts.short_id, facts.version),
        };
        match saved.version {
            Some(version) => with_query(&path, "pipeline", &format!("{}@{version}", facts.pipeline)),
            None => path,
        }
    }

    fn is_pinned_to(&self, saved: &SavedPipeline) -> bool {
        self.head.view["definition"].as_str() == Some(&saved.hash)
    }
}

/// `GET /runs/{run}/debug/replay`.
pub(crate) async fn page(visit: Visit, Path(run): Path<String>) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, run_name(&run).map_err(Problem::not_found)?, RunTab::Debugger).await?;
    let id = &head.facts.id;
    let pipeline = head.facts.pipeline.replace('%', "%25").replace('/', "%2F");
    let (replay, definition, saved) =
        (format!("/runs/{id}/replay"), format!("/runs/{id}/definition"), format!("/pipelines/{pipeline}"));
    let (replay, definition, saved) = futures::join!(
        visit.rest.get::<ReplayAnswer>(&replay),
        visit.rest.get::<Value>(&definition),
        visit.rest.get::<SavedPipeline>(&saved),
    );
    let (replay, definition, saved) = (replay?, definition?, saved.ok());
    let mut page = ReplayPage {
        frame: head.frame(&visit),
        replay,
        changes: Tree::default(),
        gates: Vec::new(),
        left_out: 0,
        saved: None,
        head,
    };
    page.frame.live = false;
    if let Some(saved) = saved {
        if !page.is_pinned_to(&saved) {
            page.changes = Tree::of(&definition, &saved.document, &["input", "admit", "steps", "output"]);
            let (then, now) = (policies(&definition), policies(&saved.document));
            let other =
                now.into_iter().filter(|(gate, policy)| then.get(gate).is_some_and(|then| then != policy));
            let other: Vec<(String, Option<String>)> = other.collect();
            page.left_out = other.len().saturating_sub(GATES_MAX);
            for (gate, policy) in other.into_iter().take(GATES_MAX) {
                page.gates.push(judged_again(&visit, &page.head, gate, policy).await);
            }
        }
        page.saved = Some(saved);
    }
    Ok(Html(page).into_response())
}

/// Judges the verdicts that a run has of a gate by the policy of today.
async fn judged_again(visit: &Visit, head: &RunHead, gate: String, policy: Option<String>) -> OtherGate {
    let Some(policy) = policy else {
        return OtherGate { gate, policy, items: Vec::new(), problem: None };
    };
    let mut items = Vec::new();
    let of_gate = (gate.as_str(), head.facts.pipeline.as_str());
    let answer = backtest(&visit.rest, of_gate, &policy, &head.facts.started_at, |part| {
        items.extend(part.items.into_iter().filter(|item| item.run == head.facts.id));
    })
    .await;
    items.sort_by_key(|item| item.version);
    let problem = match answer {
        Ok(true) => None,
        Ok(false) => {
            Some(Problem::within("so many newer verdicts of this gate that not all of this run were reached"))
        }
        Err(problem) => Some(problem),
    };
    OtherGate { gate, policy: Some(policy), items, problem }
}

/// The policies that gates have in a document, by their ids; none: the default of the gate's kind. Gates of one id with several policies are left out: which
/// is meant cannot be known from a verdict alone.
fn policies(document: &Value) -> BTreeMap<String, Option<String>> {
    fn collect(value: &Value, found: &mut BTreeMap<String, BTreeSet<Option<String>>>) {
        match value {
            Value::Object(fields) => {
                for gate in fields.get("gates").and_then(Value::as_array).into_iter().flatten() {
                    if let Some(id) = gate["id"].as_str() {
                        let policy = gate["policy"].as_str().map(str::to_owned);
                        found.entry(id.to_owned()).or_default().insert(policy);
                    }
                }
                fields.values().for_each(|inner| collect(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _plain => {}
        }
    }
    let mut found = BTreeMap::new();
    collect(document, &mut found);
    let single = found.into_iter().filter(|(_, policies)| policies.len() == 1);
    single.filter_map(|(gate, policies)| Some((gate, policies.into_iter().next()?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gate_of_two_policies_is_not_guessed() {
        let document = json!({ "steps": [
            { "gates": [{ "id": "a", "policy": "x" }, { "id": "b", "policy": "x" }] },
            { "work": { "steps": [{ "gates": [{ "id": "b", "policy": "y" }, { "id": "c" }] }] } },
        ] });
        assert_eq!(
            policies(&document).into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), Some("x".to_owned())), ("c".to_owned(), None)]
        );
    }
}
