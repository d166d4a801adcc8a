//! `/runs/{run}/gates`: every decision of a run with its evidence: verdicts, votes, overrides, rechecks, rework.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::address::address;
use super::excerpt::clamped;
use crate::audit::ListedRecheck;
use crate::frame::{Frame, Visit};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};
use crate::visible::visible;
use crate::words::{self, encoded};

/// Decisions on a page.
const ROWS: usize = 200;
/// The longest evidence that stands in the list, and all together; longer ones are read with their event.
const EVIDENCE_MAX: usize = 8_000;
const EVIDENCE_OF_PAGE_MAX: usize = 240_000;
/// Verdicts of one gate that its line shows.
const VERDICTS_MAX: usize = 40;

/// A decision as `GET /runs/{run}/audit` gives it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct GateDecision {
    version: u64,
    at: String,
    actor: String,
    step: Option<String>,
    round: Option<u64>,
    kind: String,
    gate: Option<String>,
    probe_no: u64,
    verdict: String,
    reason: Option<String>,
    evidence: Value,
    policy: String,
    policy_hash: String,
    evaluator: u64,
    tolerated: bool,
    vote: String,
    decision: String,
    comment: Option<String>,
    by: Value,
    answer: Value,
    policies: Option<BTreeMap<String, String>>,
    /// The gates that a person passed over.
    bypassed: Vec<String>,
    used: u64,
    max: Option<u64>,
    /// The recheck that could not judge the gate.
    asked: Option<ListedRecheck>,
    /// The recheck in whose place it is.
    displaced: Option<ListedRecheck>,
    /// Made ready for the page.
    #[serde(skip)]
    shown_evidence: Option<String>,
}

impl GateDecision {
    fn is_gate(&self) -> bool {
        self.kind == "gate"
    }

    /// The word of what was decided, which has a sign and a colour.
    fn word(&self) -> &str {
        match self.kind.as_str() {
            "gate" => &self.verdict,
            "vote" => &self.vote,
            "approval" | "override" => &self.decision,
            "part" => "saved",
            "unjudged" => "not judged",
            other => other,
        }
    }

    /// The status that has the colour of the word.
    fn tone(&self) -> &'static str {
        match (self.kind.as_str(), self.word()) {
            ("gate", "pass") => "pass",
            ("gate", "fail") => "fail",
            ("gate", "pending") => "pending",
            ("gate", _) => "skipped",
            ("override" | "rework" | "recheck" | "unjudged", _) => "blocked",
            (_, "approve") => "approved",
            (_, "reject" | "changes") => "rejected",
            ("cancel", _) => "cancelled",
            _other => "done",
        }
    }

    /// What decided: a gate, or what people did.
    fn name(&self) -> &str {
        match (&self.gate, self.kind.as_str()) {
            (Some(gate), "gate" | "unjudged") => gate,
            (_, "part") => "part of an answer",
            (_, kind) => kind,
        }
    }

    /// Why, in one line.
    fn why(&self) -> String {
        let text = match self.kind.as_str() {
            "rework" => {
                let of = self.max.map(|max| format!(" of {max}")).unwrap_or_default();
                let by = self.gate.clone().or_else(|| self.by.as_str().map(str::to_owned));
                format!("{}{of}{}", self.used, by.map(|by| format!(" by {by}")).unwrap_or_default())
            }
            "answer" | "part" => words::answer(&self.answer),
            _other => {
                let said = self.reason.clone().or_else(|| self.comment.clone());
                let recheck = ListedRecheck::words(self.asked.as_ref(), self.displaced.as_ref());
                said.into_iter().chain(recheck).collect::<Vec<_>>().join(" · ")
            }
        };
        visible(&clamped(&text, 300)).into_owned()
    }

    fn place(&self) -> String {
        let step = match self.step.as_deref() {
            Some("$admit") => "admission",
            Some(step) => step,
            None => "",
        };
        match self.round {
            Some(round) if step != "admission" && !step.is_empty() => format!("{step} {round}"),
            _ => step.to_owned(),
        }
    }

    /// The policies that an operator gave instead of those of the definition.
    fn own_policies(&self) -> Vec<(&String, &String)> {
        self.policies.iter().flatten().collect()
    }
}

/// A gate with all its verdicts.
struct GateVerdictLine {
    gate: String,
    step: String,
    verdicts: Vec<(u64, &'static str, String)>,
    more: usize,
    passes: usize,
    fails: usize,
    reason: String,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct GatesQuery {
    verdict: String,
    gate: String,
    /// How many of the decisions stand before the shown ones.
    skip: String,
}

impl GatesQuery {
    fn fits(&self, decision: &GateDecision) -> bool {
        let is_of_gate = self.gate.is_empty() || decision.gate.as_deref() == Some(&*self.gate);
        is_of_gate
            && match self.verdict.as_str() {
                "" => true,
                "people" => !decision.is_gate() && !matches!(decision.kind.as_str(), "rework" | "unjudged"),
                "override" => decision.kind == "override" || decision.kind == "recheck" || decision.tolerated,
                verdict => decision.is_gate() && decision.verdict == verdict,
            }
    }
}

#[derive(Template)]
#[template(path = "tabs/gates.html")]
struct GatesPage {
    frame: Frame,
    head: RunHead,
    query: GatesQuery,
    gates: Vec<GateVerdictLine>,
    rows: Vec<GateDecision>,
    counts: Vec<(&'static str, &'static str, usize)>,
    found: usize,
    skip: usize,
}

impl GatesPage {
    fn filter(&self, verdict: &str) -> String {
        self.at(verdict, &self.query.gate, "")
    }

    fn of_gate(&self, gate: &str) -> String {
        self.at("", gate, "")
    }

    fn further(&self) -> String {
        self.at(&self.query.verdict, &self.query.gate, &(self.skip + ROWS).to_string())
    }

    fn at(&self, verdict: &str, gate: &str, skip: &str) -> String {
        let path = self.frame.to(self.head.tab_path("/gates"));
        let (path, at) = path
            .split_once("?at=")
            .map_or((path.as_str(), ""), |(path, _)| (path, self.frame.at.as_deref().unwrap_or_default()));
        address(path, &[("verdict", verdict), ("gate", gate), ("skip", skip), ("at", at)])
    }

    fn event_path(&self, version: &u64) -> String {
        format!(
            "{}#v{version}",
            self.frame.to(format!("/runs/{}/events?version={version}", self.head.facts.short_id))
        )
    }

    fn debug_path(&self, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", self.head.facts.short_id))
    }

    fn step_path(&self, step: &str) -> String {
        self.frame.to(format!("/runs/{}?step={}", self.head.facts.short_id, encoded(step)))
    }
}

#[derive(Deserialize)]
struct DecisionList {
    items: Vec<GateDecision>,
}

/// `GET /runs/{run}/gates`.
pub(crate) async fn page(
    visit: Visit,
    Path(run): Path<String>,
    Query(query): Query<GatesQuery>,
) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Gates).await?;
    let list: DecisionList = visit.rest.get(&format!("/runs/{}/audit", head.facts.id)).await?;
    // The shown moment has so many events.
    let known: Vec<GateDecision> =
        list.items.into_iter().filter(|it| it.version <= head.facts.version).collect();
    let gates = gate_lines(&known);
    let counts = counts(&known);
    let skip: usize = query.skip.parse().unwrap_or(0);
    let fitting: Vec<GateDecision> = known.into_iter().filter(|decision| query.fits(decision)).collect();
    let found = fitting.len();
    let mut rows: Vec<GateDecision> = fitting.into_iter().skip(skip).take(ROWS).collect();
    with_evidence(&mut rows);
    let frame = head.frame(&visit);
    Ok(Html(GatesPage { frame, head, query, gates, rows, counts, found, skip }).into_response())
}

/// The filters with their words and how many decisions fit.
fn counts(known: &[GateDecision]) -> Vec<(&'static str, &'static str, usize)> {
    let filters = [
        ("", "all"),
        ("pass", "pass"),
        ("fail", "fail"),
        ("pending", "pending"),
        ("skipped", "skipped"),
        ("people", "by people"),
        ("override", "overrides and warnings"),
    ];
    let of = |verdict: &str| {
        let query = GatesQuery { verdict: verdict.to_owned(), ..GatesQuery::default() };
        known.iter().filter(|decision| query.fits(decision)).count()
    };
    filters
        .into_iter()
        .map(|(verdict, words)| (verdict, words, of(verdict)))
        .filter(|it| it.2 > 0 || it.0.is_empty())
        .collect()
}

fn gate_lines(known: &[GateDecision]) -> Vec<GateVerdictLine> {
    let mut lines: Vec<GateVerdictLine> = Vec::new();
    for decision in known.iter().filter(|decision| decision.is_gate()) {
        let (gate, step) =
            (decision.gate.clone().unwrap_or_default(), decision.step.clone().unwrap_or_default());
        let at = lines.iter().position(|line| line.gate == gate && line.step == step).unwrap_or_else(|| {
            let (verdicts, reason) = (Vec::new(), String::new());
            lines.push(GateVerdictLine { gate, step, verdicts, more: 0, passes: 0, fails: 0, reason });
            lines.len() - 1
        });
        let line = &mut lines[at];
        line.passes += usize::from(decision.verdict == "pass");
        line.fails += usize::from(decision.verdict == "fail");
        line.reason = decision.why();
        let round = decision.round.map(|round| format!("round {round}: ")).unwrap_or_default();
        line.verdicts.push((decision.version, decision.tone(), format!("{round}{}", decision.verdict)));
        if line.verdicts.len() > VERDICTS_MAX {
            line.verdicts.remove(0);
            line.more += 1;
        }
    }
    lines
}

/// Makes evidence ready to be shown, as long as there is room on the page.
fn with_evidence(rows: &mut [GateDecision]) {
    let mut left = EVIDENCE_OF_PAGE_MAX;
    for row in rows.iter_mut().filter(|row| !row.evidence.is_null()) {
        let text = visible(&words::json(&row.evidence)).into_owned();
        if text.len() <= EVIDENCE_MAX.min(left) {
            left -= text.len();
            row.shown_evidence = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decisions(items: Value) -> Vec<GateDecision> {
        serde_json::from_value(items).unwrap_or_default()
    }

    #[test]
    fn verdicts_of_a_gate_are_one_line_and_people_are_counted_apart() {
        let known = decisions(json!([
            {"version": 2, "kind": "gate", "gate": "tests", "step": "test", "round": 1, "verdict": "fail", "reason": "exit 1"},
            {"version": 3, "kind": "rework", "gate": "tests", "step": "test", "used": 1, "max": 3},
            {"version": 5, "kind": "gate", "gate": "tests", "step": "test", "round": 2, "verdict": "pass", "reason": "exit 0"},
            {"version": 6, "kind": "override", "decision": "continue", "step": "test", "reason": "known"},
        ]));
        let lines = gate_lines(&known);
        assert_eq!(
            (lines.len(), lines[0].passes, lines[0].fails, lines[0].reason.as_str()),
            (1, 1, 1, "exit 0")
        );
        let counts: Vec<_> = counts(&known).into_iter().map(|(verdict, _, count)| (verdict, count)).collect();
        assert_eq!(counts, [("", 4), ("pass", 1), ("fail", 1), ("people", 1), ("override", 1)]);
        assert_eq!(known[1].why(), "1 of 3 by tests");
    }
}
