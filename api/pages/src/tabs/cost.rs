//! `/runs/{run}/cost`: what the run used up: money, tokens and time by step and by model, and how full its budgets are.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::log_place::{AttemptFact, attempts};
use crate::frame::{Frame, Visit};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};
use crate::words::{self, encoded};

/// What was used up, as REST says it of a step, a run, a model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CostUsage {
    name: String,
    model: Option<String>,
    cost_usd: String,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
}

impl CostUsage {
    fn usd(&self) -> f64 {
        self.cost_usd.parse().unwrap_or(0.0)
    }

    fn tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }
}

/// A step with what it used up.
struct StepCostRow {
    step: String,
    kind: String,
    status: String,
    attempts: usize,
    usage: CostUsage,
    /// Time in which its attempts worked, and in which people were asked, in milliseconds.
    machine_ms: i64,
    people_ms: i64,
    /// Its part of the largest, in percent.
    cost_bar: f64,
    time_bar: f64,
    people_bar: f64,
}

impl StepCostRow {
    fn has_time(&self) -> bool {
        self.machine_ms + self.people_ms > 0
    }
}

/// A budget with how full it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct RunBudget {
    id: String,
    scope: Option<String>,
    per: String,
    limit: CostAmounts,
    spent: CostAmounts,
    reserved_usd: String,
    over: Option<String>,
    is_reserved: bool,
    until: Option<String>,
    summary: String,
    on_over: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CostAmounts {
    cost_usd: Option<String>,
    tokens: Option<u64>,
    wall_ms: Option<i64>,
}

/// One limit of a budget.
struct LimitFill {
    words: String,
    percent: f64,
}

impl LimitFill {
    /// The tenth up to which it is full, for its picture.
    fn width(&self) -> f64 {
        self.percent.clamp(0.0, 100.0)
    }

    fn tone(&self) -> &'static str {
        match self.percent {
            percent if percent >= 100.0 => "fill-over",
            percent if percent >= 80.0 => "fill-near",
            _ => "fill-well",
        }
    }
}

impl RunBudget {
    fn fills(&self) -> Vec<LimitFill> {
        let mut fills = Vec::new();
        if let Some(limit) = &self.limit.cost_usd {
            let spent = self.spent.cost_usd.as_deref().unwrap_or("0");
            let percent = part(spent.parse().unwrap_or(0.0), limit.parse().unwrap_or(0.0));
            fills.push(LimitFill {
                words: format!("{} of {}", words::usd(spent), words::usd(limit)),
                percent,
            });
        }
        if let Some(limit) = self.limit.tokens {
            let spent = self.spent.tokens.unwrap_or(0);
            let words = format!("{} of {} tokens", words::count(spent), words::count(limit));
            fills.push(LimitFill { words, percent: part(spent as f64, limit as f64) });
        }
        if let Some(limit) = self.limit.wall_ms {
            let spent = self.spent.wall_ms.unwrap_or(0);
            let words = format!("{} of {}", words::duration(spent), words::duration(limit));
            fills.push(LimitFill { words, percent: part(spent as f64, limit as f64) });
        }
        fills
    }

    fn reserved(&self) -> bool {
        self.reserved_usd.parse::<f64>().is_ok_and(|reserved| reserved > 0.0)
    }

    fn name(&self) -> &str {
        self.scope.as_deref().unwrap_or(&self.id)
    }
}

/// One as a part of another, in percent.
fn part(of: f64, whole: f64) -> f64 {
    if whole > 0.0 { of / whole * 100.0 } else { 0.0 }
}

#[derive(Template)]
#[template(path = "tabs/cost.html")]
struct CostPage {
    frame: Frame,
    head: RunHead,
    total: CostUsage,
    steps: Vec<StepCostRow>,
    models: Vec<CostUsage>,
    budgets: Vec<RunBudget>,
    /// Why what their counters say is not known: the run's own numbers stand in its place.
    refused: Option<Problem>,
    machine_ms: i64,
    people_ms: i64,
    took: String,
}

impl CostPage {
    fn log_path(&self, step: &StepCostRow) -> String {
        format!("/runs/{}/log?step={}", self.head.facts.short_id, encoded(&step.step))
    }

    fn step_path(&self, step: &StepCostRow) -> String {
        format!("/runs/{}?step={}", self.head.facts.short_id, encoded(&step.step))
    }
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// `GET /runs/{run}/cost`.
pub(crate) async fn page(visit: Visit, Path(run): Path<String>) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Cost).await?;
    let id = &head.facts.id;
    let attempts = attempts(&visit, &head).await?;
    let until = visit.then.clone();
    // What models cost is known of now alone.
    let models: List<CostUsage> = match &visit.at {
        None => visit.rest.get(&format!("/spend?by=model&run={id}")).await?,
        Some(_) => List { items: Vec::new() },
    };
    let (budgets, refused) = budgets(&visit, &head).await;
    let steps = steps(&head.view, &attempts, until.as_deref());
    let total = CostUsage::deserialize(&head.view["usage"]).unwrap_or_default();
    let (machine_ms, people_ms) = steps
        .iter()
        .fold((0, 0), |(machine, people), step| (machine + step.machine_ms, people + step.people_ms));
    let took = words::took(&head.facts.started_at, head.facts.ended_at.as_deref().or(until.as_deref()));
    let frame = head.frame(&visit);
    let models = models.items;
    let page = CostPage { frame, head, total, steps, models, budgets, refused, machine_ms, people_ms, took };
    Ok(Html(page).into_response())
}

/// The budgets: of now with what their counters say, of the past as the run had them. Where the counters cannot be asked
/// they are as the run has them, and the problem says so.
async fn budgets(visit: &Visit, head: &RunHead) -> (Vec<RunBudget>, Option<Problem>) {
    let of_run = || {
        let list = List::<RunBudget>::deserialize(&serde_json::json!({ "items": head.view["budget"] }));
        list.map_or_else(|_| Vec::new(), |list| list.items)
    };
    match &visit.at {
        None => match visit.rest.get::<List<RunBudget>>(&format!("/runs/{}/budget", head.facts.id)).await {
            Ok(list) => (list.items, None),
            Err(problem) => (of_run(), Some(problem)),
        },
        Some(_) => (of_run(), None),
    }
}

/// The steps with what each used up; `until` is the shown moment of the past.
fn steps(view: &Value, attempts: &[AttemptFact], until: Option<&str>) -> Vec<StepCostRow> {
    let mut worked: HashMap<&str, (usize, i64)> = HashMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.has_worked()) {
        let step = attempt.step.split_once('.').map_or(attempt.step.as_str(), |(step, _)| step);
        let entry = worked.entry(step).or_default();
        let from = attempt.started_at.as_ref().unwrap_or(&attempt.scheduled_at);
        *entry = (entry.0 + 1, entry.1 + between(Some(from), attempt.ends_at()));
    }
    let mut steps: Vec<StepCostRow> = view["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| {
            let text = |field: &str| step[field].as_str().unwrap_or_default().to_owned();
            let id = text("id");
            let (attempts, machine_ms) = worked.get(id.as_str()).copied().unwrap_or_default();
            let is_of_people = matches!(step["kind"].as_str(), Some("approval" | "question"));
            let people_ms = if is_of_people {
                between(step["started_at"].as_str(), step["ended_at"].as_str().or(until))
            } else {
                0
            };
            StepCostRow {
                kind: text("kind"),
                status: text("status"),
                step: id,
                attempts,
                usage: CostUsage::deserialize(&step["usage"]).unwrap_or_default(),
                machine_ms,
                people_ms,
                cost_bar: 0.0,
                time_bar: 0.0,
                people_bar: 0.0,
            }
        })
        .collect();
    let most_usd = steps.iter().map(|step| step.usage.usd()).fold(0.0, f64::max);
    let most_ms = steps.iter().map(|step| step.machine_ms + step.people_ms).max().unwrap_or(0);
    for step in &mut steps {
        step.cost_bar = part(step.usage.usd(), most_usd);
        step.time_bar = part(step.machine_ms as f64, most_ms as f64);
        step.people_bar = part(step.people_ms as f64, most_ms as f64);
    }
    steps
}

/// Milliseconds between two times; until now, where the second is not there.
fn between(from: Option<&str>, to: Option<&str>) -> i64 {
    let Some(from) = from.and_then(words::millis) else { return 0 };
    (to.and_then(words::millis).unwrap_or_else(words::now_millis) - from).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn time_of_items_counts_as_that_of_their_step_and_people_apart() {
        let view = json!({"steps": [
            {"id": "build", "kind": "command", "status": "succeeded", "usage": {"cost_usd": "0.500000", "input_tokens": 3, "output_tokens": 4}},
            {"id": "ok", "kind": "approval", "status": "succeeded", "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:08Z"},
        ]});
        let row = |step: &str| {
            json!({"step": step, "round": 1, "attempt": 1, "scheduled_at": "2026-11-22T10:00:00Z",
            "started_at": "2026-11-22T10:00:00Z", "end": {"at": "2026-11-22T10:00:02Z"}})
        };
        // Of work that was done at once only the end is recorded; what was cancelled before it began did nothing.
        let (mut at_once, mut unbegun) = (row("build.2"), row("build.3"));
        for attempt in [&mut at_once, &mut unbegun] {
            attempt["started_at"] = json!(null);
        }
        unbegun["end"]["failure"] = json!({"kind": "cancelled"});
        let attempts = json!([row("build.0"), row("build.1"), at_once, unbegun]);
        let attempts: Vec<AttemptFact> = serde_json::from_value(attempts).unwrap_or_default();
        let steps = steps(&view, &attempts, None);
        assert_eq!((steps[0].attempts, steps[0].machine_ms, steps[1].people_ms), (3, 6_000, 8_000));
        assert_eq!((steps[0].cost_bar, steps[0].time_bar, steps[1].people_bar), (100.0, 75.0, 100.0));
        assert_eq!(steps[0].usage.tokens(), 7);
    }

    #[test]
    fn a_budget_tells_each_of_its_limits() {
        let budget: RunBudget = serde_json::from_value(json!({"id": "task",
            "limit": {"cost_usd": "2.000000", "tokens": null, "wall_ms": 60000}, "spent": {"cost_usd": "1.900000", "tokens": 7, "wall_ms": 61000}})).unwrap_or_default();
        let fills: Vec<_> =
            budget.fills().into_iter().map(|fill| (fill.words.clone(), fill.tone(), fill.width())).collect();
        assert_eq!(fills[0], ("1.90 USD of 2.00 USD".to_owned(), "fill-near", 95.0));
        assert_eq!(fills[1], ("1 m 01 s of 1 m 00 s".to_owned(), "fill-over", 100.0));
    }
}
