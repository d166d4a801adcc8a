//! Questions to the read models over REST: lists by expressions and SQL, asked alone and beside a writing load.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use everfold_engine::clock::Stopwatch;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::engine::BenchError;
use super::load::percentile;
use super::pages::{PageCost, asked};
use crate::client::encode;

/// How often each question is asked.
const TIMES: u32 = 40;
/// Runs of the load that go on at once.
const IN_FLIGHT: usize = 16;

/// What is asked.
#[derive(Clone, Copy)]
enum Question {
    /// A list of runs by an expression.
    Filter(&'static str),
    /// The same, in another order.
    Sorted(&'static str, &'static str),
    Sql(&'static str),
}

/// By a key, by an index, and over every row.
const QUESTIONS: [(&str, Question); 8] = [
    (
        "list: an expression that an index answers",
        Question::Filter("status == 'succeeded' && labels.team == 't7'"),
    ),
    (
        "list: an expression over every row",
        Question::Filter("elapsed_ms > 99999999 || title == 'no run says this'"),
    ),
    ("list: sorted by a field", Question::Sorted("elapsed_ms >= 0", "-elapsed")),
    (
        "sql: a run by its id",
        Question::Sql("select * from runs where id = (select id from runs order by position desc limit 1)"),
    ),
    (
        "sql: the newest 50 of a status",
        Question::Sql(
            "select id, title from runs where status = 'succeeded' order by position desc limit 50",
        ),
    ),
    (
        "sql: 50 runs of a label, joined",
        Question::Sql(
            "select r.id, r.title from labels l join runs r on r.id = l.run \
             where l.key = 'team' and l.value = 't7' limit 50",
        ),
    ),
    ("sql: all runs counted by status", Question::Sql("select status, count(*) from runs group by status")),
    (
        "sql: all runs sorted by a field",
        Question::Sql("select id, title, elapsed_ms from runs order by elapsed_ms desc limit 50"),
    ),
];

/// Asks each question alone, then beside runs of ten steps that go on at full speed.
pub(super) async fn answered(routes: &Router) -> Result<Vec<PageCost>, BenchError> {
    let (mut alone, mut costs) = (Vec::with_capacity(QUESTIONS.len()), Vec::new());
    for (name, question) in QUESTIONS {
        alone.push(cost(routes, name, question).await?);
    }
    let is_over = AtomicBool::new(false);
    let asking = async {
        let mut beside = Vec::with_capacity(QUESTIONS.len());
        for (_, question) in QUESTIONS {
            let one = cost(routes, "… beside a load", question).await;
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
    Ok(costs)
}

async fn cost(routes: &Router, name: &'static str, question: Question) -> Result<PageCost, BenchError> {
    let (mut spans, mut bytes) = (Vec::with_capacity(TIMES as usize), 0);
    for _ in 0..TIMES {
        let one = Stopwatch::start();
        bytes = asked(routes.clone(), question.request()?).await?;
        spans.push(one.elapsed());
    }
    let first = spans.first().copied().unwrap_or_default();
    spans.sort_unstable();
    Ok(PageCost { name, first, p50: percentile(&spans, 50), p99: percentile(&spans, 99), bytes })
}

impl Question {
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
    Ok(Request::get(format!("/api/v1/runs?{}", pairs.join("&"))).body(Body::empty())?)
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
    let steps: Vec<Value> = (0..10).map(step).collect();
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
