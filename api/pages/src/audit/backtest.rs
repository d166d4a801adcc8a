//! `/audit/backtest`: what another policy of a gate would have said to the evidence that was recorded.
//!
//! Law: nothing is recorded, so the policy stands in the address, and the page can be passed on.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::extract::Query;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::decision::{Decision, evidence_line};
use super::filter::{AuditFilter, since_type, time_of};
use super::names::names;
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// Verdicts that one page gives again.
const VERDICTS: usize = 500;
/// Verdicts that are looked at for the names that a policy can use.
const EXAMPLES: usize = 100;
/// Names that are offered.
const NAMES_MAX: usize = 40;
/// The length of the bar, in units of the drawing.
const BAR: f64 = 1000.0;

/// The form, as the address has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BacktestQuery {
    gate: String,
    policy: String,
    pipeline: String,
    since: String,
    cursor: String,
}

impl BacktestQuery {
    /// Whether the day is none.
    fn has_bad_since(&self) -> bool {
        since_type(&self.since) == "text" && crate::words::millis(&time_of(&self.since)).is_none()
    }
}

/// The answer of `POST /audit/backtest`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Backtested {
    verdicts: u64,
    equal: u64,
    changed: u64,
    failed: u64,
    not_judged: u64,
    becomes: BTreeMap<String, u64>,
    items: Vec<Flip>,
    back_to: Option<String>,
    next_cursor: Option<String>,
}

/// A verdict that would be another.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Flip {
    short_id: String,
    run: String,
    version: u64,
    at: String,
    step: String,
    round: u32,
    recorded: Said,
    judged: Option<Said>,
    problem: Option<String>,
}

/// A verdict and its reason.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Said {
    verdict: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "audit/backtest.html")]
struct BacktestPage {
    frame: Frame,
    query: BacktestQuery,
    result: Option<Backtested>,
    problem: Option<Problem>,
    gates: Vec<String>,
    pipelines: Vec<String>,
    names: Vec<EvidenceName>,
    /// The policy that judges the gate now.
    stands: Option<String>,
    evidence: HashMap<(String, u64), String>,
    /// What each run cost, by its id.
    costs: HashMap<String, String>,
}

/// A name that a policy can use, with a value that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EvidenceName {
    name: String,
    example: String,
}

/// `GET /audit/backtest`.
pub(super) async fn page(visit: Visit, Query(query): Query<BacktestQuery>) -> Result<Response, Problem> {
    let filter = AuditFilter {
        kind: "gate".to_owned(),
        gate: query.gate.clone(),
        pipeline: query.pipeline.clone(),
        since: query.since.clone(),
        ..AuditFilter::default()
    };
    let has_policy = !query.gate.trim().is_empty() && !query.policy.trim().is_empty();
    let limit = if has_policy { VERDICTS } else { EXAMPLES };
    let (decided, mut problem) = match filter.load(&visit, &query.cursor, limit).await {
        Ok(part) => (part.items, None),
        Err(problem) if problem.is_unknown_caller() => return Err(problem),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let mut result = None;
    if has_policy && problem.is_none() {
        match asked(&visit, &query).await {
            Ok(answer) => result = Some(answer),
            Err(refused) if refused.is_unknown_caller() => return Err(refused),
            Err(refused) => problem = Some(refused),
        }
    }
    let named = names(&visit, &known_gates(&visit, &query, &decided).await).await;
    let is_flipped = result.as_ref().is_some_and(|result| !result.items.is_empty());
    // Without a pipeline the answer has a line for every run that ever spent anything.
    let pipeline = query.pipeline.trim();
    let has_costs = is_flipped && !pipeline.is_empty();
    let costs = if has_costs { costs(&visit, pipeline).await } else { HashMap::new() };
    let of_gate: Vec<&Decision> =
        decided.iter().filter(|item| item.gate.as_deref() == Some(&query.gate)).collect();
    let mut frame = visit.frame("Try another policy", NavPlace::Audit);
    // The result is of the moment it was asked for.
    frame.live = false;
    let page = BacktestPage {
        frame,
        names: names_of(of_gate.iter().map(|item| &item.evidence)),
        stands: of_gate.first().and_then(|item| item.policy.clone()),
        evidence: decided
            .iter()
            .map(|item| ((item.short_id.clone(), item.version), evidence_line(&item.evidence)))
            .collect(),
        query,
        result,
        problem,
        gates: named.gates,
        pipelines: named.pipelines,
        costs,
    };
    Ok(Html(page).into_response())
}

/// Decisions whose gates are offered: those at hand, or those of all gates where one is chosen already.
async fn known_gates(visit: &Visit, query: &BacktestQuery, decided: &[Decision]) -> Vec<Decision> {
    if query.gate.is_empty() {
        return decided.to_vec();
    }
    let gates = AuditFilter { kind: "gate".to_owned(), ..AuditFilter::default() };
    let all = gates.load(visit, "", EXAMPLES).await;
    all.map(|part| part.items).unwrap_or_default()
}

async fn asked(visit: &Visit, query: &BacktestQuery) -> Result<Backtested, Problem> {
    let mut body = json!({"gate": query.gate.trim(), "policy": query.policy.trim(), "limit": VERDICTS});
    let since = time_of(&query.since);
    for (name, value) in [("pipeline", query.pipeline.as_str()), ("since", &since), ("cursor", &query.cursor)]
    {
        if !value.is_empty() {
            body[name] = value.into();
        }
    }
    let answer = visit.rest.write(Method::POST, "/audit/backtest", &body, None).await?;
    Backtested::deserialize(answer)
        .map_err(|error| Problem::within(format!("the answer of the backtest cannot be read: {error}")))
}

/// What runs of a pipeline cost, as far as anything was reported.
async fn costs(visit: &Visit, pipeline: &str) -> HashMap<String, String> {
    let path = with_query("/spend?by=run", "pipeline", pipeline);
    let spend: Result<Value, Problem> = visit.rest.get(&path).await;
    let spend = spend.unwrap_or_default();
    let items = spend.get("items").and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| {
            Some((item.get("group")?.as_str()?.to_owned(), item.get("cost_usd")?.as_str()?.to_owned()))
        })
        .collect()
}

/// The names that stand in evidence, with the newest value of each.
fn names_of<'a>(evidence: impl Iterator<Item = &'a Value>) -> Vec<EvidenceName> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for evidence in evidence {
        collect("evidence", evidence, 0, &mut names);
    }
    names.into_iter().take(NAMES_MAX).map(|(name, example)| EvidenceName { name, example }).collect()
}

fn collect(path: &str, value: &Value, depth: usize, names: &mut BTreeMap<String, String>) {
    const DEPTH_MAX: usize = 3;
    let Some(map) = value.as_object().filter(|map| depth < DEPTH_MAX && !map.is_empty()) else {
        if depth > 0 && names.len() < NAMES_MAX * 2 {
            let example: String = value.to_string().chars().take(60).collect();
            names.entry(path.to_owned()).or_insert(crate::visible::visible(&example).into_owned());
        }
        return;
    };
    for (name, value) in map {
        collect(&format!("{path}{}", member(name)), value, depth + 1, names);
    }
}

/// How a policy reads a member: by its name, or as a text where the name is no word.
fn member(name: &str) -> String {
    let is_word = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && name.bytes().next().is_some_and(|c| !c.is_ascii_digit());
    if is_word { format!(".{name}") } else { format!("[{}]", Value::from(name)) }
}

/// A part of the bar.
struct BarPart {
    x: f64,
    width: f64,
    class: &'static str,
}

/// A line of the legend.
struct BarWord {
    class: &'static str,
    glyph: &'static str,
    count: u64,
    words: String,
}

impl Backtested {
    /// What there is, in the order of the bar: the same, would pass, would fail, others, no verdict.
    fn legend(&self) -> Vec<BarWord> {
        let becoming = |end: &str| -> u64 {
            self.becomes.iter().filter(|(what, _)| what.ends_with(end)).map(|(_, count)| count).sum()
        };
        let (pass, fail) = (becoming("→ pass"), becoming("→ fail"));
        let word =
            |class, glyph, count, words: &str| BarWord { class, glyph, count, words: words.to_owned() };
        let all = [
            word("bar-same", "=", self.equal, "the same"),
            word("bar-pass", "✓", pass, "would pass"),
            word("bar-fail", "✕", fail, "would fail"),
            word("bar-other", "◷", self.changed.saturating_sub(pass + fail), "would be something else"),
            word("bar-none", "!", self.failed, "get no verdict"),
            word("bar-kept", "·", self.not_judged, "came of no evidence"),
        ];
        all.into_iter().filter(|word| word.count > 0).collect()
    }

    /// The bar.
    fn bar(&self) -> Vec<BarPart> {
        let total = self.verdicts.max(1) as f64;
        let mut x = 0.0;
        let part = |word: BarWord| {
            let width = BAR * word.count as f64 / total;
            let part = BarPart { x, width, class: word.class };
            x += width;
            part
        };
        self.legend().into_iter().map(part).collect()
    }

    /// The result in one sentence.
    fn sentence(&self) -> String {
        match (self.verdicts, self.changed, self.failed) {
            (0, ..) => "This gate has no verdicts in that time".to_owned(),
            (all, 0, 0) => format!("None of {all} verdicts would be another"),
            (all, 0, failed) => format!("The policy gives no verdict on {failed} of {all}"),
            (all, changed, _) => format!("{changed} of {all} verdicts would be others"),
        }
    }
}

impl Flip {
    fn judged_word(&self) -> &str {
        self.judged.as_ref().map_or("no verdict", |said| said.verdict.as_str())
    }

    fn because(&self) -> String {
        let said = self.judged.as_ref().map(|said| said.reason.as_str()).or(self.problem.as_deref());
        crate::visible::visible(said.unwrap_or_default()).into_owned()
    }

    /// What would have come of it.
    fn means(&self) -> &'static str {
        match (self.recorded.verdict.as_str(), self.judged_word()) {
            ("fail", "pass") => "the run would have gone on here",
            ("pass", "fail") => "it would have been stopped or sent back here",
            (_, "pending") => "it would have waited here",
            ("pending", _) => "it would not have waited",
            (_, "no verdict") => "the step would have been blocked here",
            _ => "",
        }
    }

    fn path(&self) -> String {
        format!("/audit/{}/{}", self.short_id, self.version)
    }

    fn run_path(&self) -> String {
        with_query(&format!("/runs/{}", self.short_id), "step", &self.step)
    }
}

impl BacktestPage {
    fn evidence_of(&self, flip: &Flip) -> &str {
        self.evidence.get(&(flip.short_id.clone(), flip.version)).map(String::as_str).unwrap_or_default()
    }

    /// What the run of a verdict cost in all.
    fn cost_of(&self, flip: &Flip) -> Option<&str> {
        self.costs.get(&flip.run).map(String::as_str)
    }

    /// The same for older verdicts.
    fn older(&self) -> Option<String> {
        let cursor = self.result.as_ref()?.next_cursor.as_deref()?;
        let pairs = [
            ("gate", self.query.gate.as_str()),
            ("policy", &self.query.policy),
            ("pipeline", &self.query.pipeline),
            ("since", &self.query.since),
            ("cursor", cursor),
        ];
        let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        Some(set.fold("/audit/backtest".to_owned(), |path, (name, value)| with_query(&path, name, value)))
    }

    /// Whether what was refused is the expression.
    fn is_bad_policy(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.code == "EF0231")
    }

    /// The expression before what does not belong, that part, and the rest, where the refusal quotes it.
    fn place(&self) -> Option<(String, String, String)> {
        place(&self.query.policy, &self.problem.as_ref()?.detail)
    }
}

/// Where in an expression the part stands that a message quotes; a message that speaks of its end means that.
fn place(policy: &str, message: &str) -> Option<(String, String, String)> {
    if message.contains("breaks off") || message.contains("expected ") {
        return Some((policy.to_owned(), "▏".to_owned(), String::new()));
    }
    let quoted = message.split_once('“').and_then(|(_, rest)| rest.split_once('”')).map(|(quoted, _)| quoted);
    let ticked = message.split_once('`').and_then(|(_, rest)| rest.split_once('`')).map(|(ticked, _)| ticked);
    let quoted = quoted.or(ticked).filter(|quoted| !quoted.is_empty())?;
    // A sign alone is meant where it does not belong to a longer one.
    let is_sign = |at: usize| {
        let around = [policy[..at].chars().next_back(), policy[at + quoted.len()..].chars().next()];
        !(quoted.len() == 1
            && around.iter().flatten().any(|c| matches!(c, '=' | '!' | '<' | '>' | '&' | '|')))
    };
    let found = policy.match_indices(quoted).map(|(at, _)| at);
    let at = found.clone().find(|at| is_sign(*at)).or_else(|| found.last())?;
    let (before, rest) = policy.split_at(at);
    let (place, after) = rest.split_at(quoted.len());
    Some((before.to_owned(), place.to_owned(), after.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_members_of_evidence_with_an_example() {
        let evidence = [json!({"exit": 1, "source": {"folder": "/x"}, "a-b": true})];
        let names: Vec<(String, String)> =
            names_of(evidence.iter()).into_iter().map(|name| (name.name, name.example)).collect();
        let expected =
            [("evidence.exit", "1"), ("evidence.source.folder", "\"/x\""), ("evidence[\"a-b\"]", "true")];
        assert_eq!(names, expected.map(|(name, example)| (name.to_owned(), example.to_owned())));
    }

    #[test]
    fn the_bar_is_as_long_as_all_verdicts() {
        let becomes = BTreeMap::from([("fail → pass".to_owned(), 2), ("pass → pending".to_owned(), 1)]);
        let result =
            Backtested { verdicts: 10, equal: 6, changed: 3, failed: 1, becomes, ..Backtested::default() };
        let bar = result.bar();
        assert_eq!(
            bar.iter().map(|part| part.class).collect::<Vec<_>>(),
            ["bar-same", "bar-pass", "bar-other", "bar-none"]
        );
        assert!((bar.iter().map(|part| part.width).sum::<f64>() - BAR).abs() < 1e-6);
        assert_eq!(result.sentence(), "3 of 10 verdicts would be others");
    }

    #[test]
    fn a_bad_expression_is_shown_with_its_place() {
        let parts = place("evidence.exit = 1", "policy: “=” does not belong here: it is complete before it");
        assert_eq!(parts, Some(("evidence.exit ".to_owned(), "=".to_owned(), " 1".to_owned())));
        let end =
            place("evidence.exit == ", "policy: the expression breaks off: a value is missing at its end");
        assert_eq!(end.map(|(before, ..)| before).as_deref(), Some("evidence.exit == "));
        assert_eq!(place("true", "something else"), None);
    }
}
