//! Questions to the read models over REST: lists by expressions and SQL, asked alone and beside a writing load.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use everfold_engine::clock::Stopwatch;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::asking::{PageCost, answer, asked};
use super::engine::BenchError;
use super::load::percentile;
use crate::client::encode;

/// Runs of the load that go on at once.
const IN_FLIGHT: usize = 16;

/// How much is asked.
#[derive(Clone, Copy)]
pub(super) struct QuestionLoad {
    /// How often each question is asked.
    times: u32,
    /// Items of the long run.
    items: usize,
}

impl QuestionLoad {
    /// What figures are taken of.
    pub(super) const MEASURED: Self = Self { times: 40, items: 3_000 };
}

/// What is asked.
#[derive(Clone, Copy)]
enum AskedRows {
    /// A list of runs by an expression.
    Filter(&'static str),
    /// The same, in another order.
    Sorted(&'static str, &'static str),
    Sql(&'static str),
}

/// By a key, by an index, and over every row.
const QUESTIONS: [(&str, AskedRows); 8] = [
    (
        "list: an expression that an index answers",
        AskedRows::Filter("status == 'succeeded' && labels.team == 't7'"),
    ),
    (
        "list: an expression over every row",
        AskedRows::Filter("elapsed > duration('9999h') || title == 'no run says this'"),
    ),
    ("list: sorted by a field", AskedRows::Sorted("elapsed >= duration('0s')", "-elapsed")),
    (
        "sql: a run by its id",
        AskedRows::Sql("select * from runs where id = (select id from runs order by position desc limit 1)"),
    ),
    (
        "sql: the newest 50 of a status",
        AskedRows::Sql(
            "select id, title from runs where status = 'succeeded' order by position desc limit 50",
        ),
    ),
    (
        "sql: 50 runs of a label, joined",
        AskedRows::Sql(
            "select r.id, r.title from labels l join runs r on r.id = l.run \
             where l.key = 'team' and l.value = 't7' limit 50",
        ),
    ),
    ("sql: all runs counted by status", AskedRows::Sql("select status, count(*) from runs group by status")),
    (
        "sql: all runs sorted by a field",
        AskedRows::Sql("select id, title, elapsed_ms from runs order by elapsed_ms desc limit 50"),
    ),
];

/// Asks each question alone, then beside runs of ten steps that go on at full speed.
pub(super) async fn answered(routes: &Router, size: QuestionLoad) -> Result<Vec<PageCost>, BenchError> {
    let (mut alone, mut costs) = (Vec::with_capacity(QUESTIONS.len()), Vec::new());
    for (name, question) in QUESTIONS {
        alone.push(measured(routes, size.times, name, |_| question.request()).await?);
    }
    let is_over = AtomicBool::new(false);
    let asking = async {
        let mut beside = Vec::with_capacity(QUESTIONS.len());
        for (_, question) in QUESTIONS {
            let one = measured(routes, size.times, "… beside a load", |_| question.request()).await;
            if one.is_err() {
                is_over.store(true, Ordering::Relaxed);
            }
            beside.push(one?);
        }
        is_over.store(true, Ordering::Relaxed);
        Ok::<_, BenchError>(beside)
    };
    let (beside, load) = tokio::join!(asking, load(routes, &is_over));
    load?;
    for (alone, beside) in alone.into_iter().zip(beside?) {
        costs.extend([alone, beside]);
    }
    costs.extend(of_history(routes, size).await?);
    Ok(costs)
}

/// Asks what was: a long run at many of its versions, recorded verdicts under another policy, runs decided again.
async fn of_history(routes: &Router, size: QuestionLoad) -> Result<Vec<PageCost>, BenchError> {
    let items: Vec<usize> = (0..size.items).collect();
    let each = json!({"id": "each", "function": "everfold.noop", "foreach": {"in": "${input}"}});
    let long = json!({"definition": {"name": "bench-long", "steps": [each]}, "input": items});
    let long: Value = read(routes, post("/api/v1/runs?wait=60s", &long)?).await?;
    let (id, versions) = (text(&long["id"])?, long["version"].as_u64().unwrap_or(1));
    let version = |nth: u32| 1 + u64::from(nth) * versions.saturating_sub(1) / u64::from(size.times);
    let state = |nth: u32| get(&format!("/api/v1/runs/{id}/state?version={}", version(nth)));
    let state = measured(routes, size.times, "state of a long run at a version", state).await?;
    let newest: Value = read(routes, list(&[("pipeline", "bench-beside"), ("limit", "40")])?).await?;
    let runs = newest["items"].as_array().into_iter().flatten().map(|run| text(&run["id"]));
    let runs = runs.collect::<Result<Vec<String>, BenchError>>()?;
    let replay = |nth: u32| get(&format!("/api/v1/runs/{}/replay", runs[nth as usize % runs.len()]));
    let replay = measured(routes, size.times, "replay of a run of 10 steps", replay).await?;
    let policy = json!({"gate": "g", "policy": "evidence.value == false", "limit": 1_000});
    let backtest = |_: u32| post("/api/v1/audit/backtest", &policy);
    let backtest = measured(routes, size.times, "backtest of 1,000 verdicts", backtest).await?;
    Ok(vec![state, replay, backtest])
}

fn text(value: &Value) -> Result<String, BenchError> {
    value.as_str().map(str::to_owned).ok_or_else(|| "an answer names no run".into())
}

async fn read(routes: &Router, request: Request) -> Result<Value, BenchError> {
    Ok(serde_json::from_slice(&answer(routes.clone(), request).await?)?)
}

/// Measures `times` requests; `request` is given the index of each.
async fn measured(
    routes: &Router,
    times: u32,
    name: &'static str,
    request: impl Fn(u32) -> Result<Request, BenchError>,
) -> Result<PageCost, BenchError> {
    let (mut spans, mut bytes) = (Vec::with_capacity(times as usize), 0);
    for nth in 0..times {
        let one = Stopwatch::start();
        bytes = asked(routes.clone(), request(nth)?).await?;
        spans.push(one.elapsed());
    }
    let first = spans.first().copied().unwrap_or_default();
    spans.sort_unstable();
    Ok(PageCost { name, first, p50: percentile(&spans, 50), p99: percentile(&spans, 99), bytes })
}

impl AskedRows {
    fn request(self) -> Result<Request, BenchError> {
        Ok(match self {
            Self::Filter(filter) => list(&[("filter", filter)])?,
            Self::Sorted(filter, sort) => list(&[("filter", filter), ("sort", sort)])?,
            Self::Sql(sql) => post("/api/v1/query", &json!({ "sql": sql }))?,
        })
    }
}

fn list(asked: &[(&str, &str)]) -> Result<Request, BenchError> {
    let pairs: Vec<String> = asked.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    get(&format!("/api/v1/runs?{}", pairs.join("&")))
}

fn get(path: &str) -> Result<Request, BenchError> {
    Ok(Request::get(path).body(Body::empty())?)
}

fn post(path: &str, body: &Value) -> Result<Request, BenchError> {
    let request = Request::post(path).header("content-type", "application/json");
    Ok(request.body(Body::from(body.to_string()))?)
}

/// Runs of ten steps, one after the other in each of so many places, until the other side is done.
async fn load(routes: &Router, is_over: &AtomicBool) -> Result<(), BenchError> {
    let step = |nth: usize| {
        let needs: Vec<String> = nth.checked_sub(1).map(|before| format!("s{before}")).into_iter().collect();
        json!({"id": format!("s{nth}"), "function": "everfold.noop", "needs": needs})
    };
    let mut steps: Vec<Value> = (0..10).map(step).collect();
    steps[9]["gates"] = json!([{"id": "g", "expression": "true"}]);
    let body = json!({"definition": {"name": "bench-beside", "steps": steps}, "input": {}});
    let one = || async {
        let begun = post("/api/v1/runs?wait=30s", &body)?;
        asked(routes.clone(), begun).await
    };
    let mut going: FuturesUnordered<_> = (0..IN_FLIGHT).map(|_| one()).collect();
    while let Some(ended) = going.next().await {
        ended?;
        if !is_over.load(Ordering::Relaxed) {
            going.push(one());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use everfold_engine::data_folder::Layout;

    use super::*;
    use crate::node::HoldOptions;
    use crate::serve::hold;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_question_of_the_bench_is_one_that_the_routes_answer() {
        let folder = tempfile::tempdir().unwrap();
        let guard = hold(Layout::new(folder.path()), HoldOptions::default()).await.unwrap();
        let size = QuestionLoad { times: 2, items: 20 };
        let costs = answered(&guard.routes(), size).await.unwrap();
        assert_eq!(costs.len(), 2 * QUESTIONS.len() + 3);
        assert!(costs.iter().all(|cost| cost.bytes > 0 && cost.p99 >= cost.p50));
        guard.release().await;
    }
}
