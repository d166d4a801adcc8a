//! What is measured from outside.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use everfold_engine::clock::Stopwatch;
use everfold_engine::json::Value;
use everfold_engine::store::bench as store_bench;
use futures::future::try_join_all;
use serde_json::json;

use super::super::engine::{BenchError, IN_FLIGHT};
use super::super::load::percentile;
use super::super::machine::{self, MachineUsage};
use super::super::report::BenchReport;
use super::super::size::Size;
use super::client::ServiceClient;
use super::processes::{BenchProcess, BenchService, FUNCTION};

/// Steps of one of the many runs.
const STEPS: usize = 10;
/// Steps side by side of one run.
const SIDE_BY_SIDE: usize = 1_000;
/// Clients that start runs at once.
const STARTING: usize = 30;
/// Runs before anything is counted.
const WARMING: usize = 20;
/// The engine's own function, which does nothing either.
const OWN: &str = "everfold.noop";

/// Measures the service in `folder`, which must not exist yet, and removes it. `say` is called with the name of each
/// measurement.
///
/// # Errors
/// Those of the file system, and what the service answers.
pub async fn run(folder: &Path, size: Size, say: &dyn Fn(&str)) -> Result<BenchReport, BenchError> {
    std::fs::create_dir(folder)?;
    let report = measure(folder, size, say).await;
    std::fs::remove_dir_all(folder)?;
    report
}

async fn measure(folder: &Path, size: Size, say: &dyn Fn(&str)) -> Result<BenchReport, BenchError> {
    let mut report = BenchReport::default();
    say("the disk");
    let raw = store_bench::raw_sync_rate(folder, 1_400, size.raw)?;
    report
        .add("raw append + fdatasync", raw.per_second, "/s")
        .with("p50_us", raw.p50_us)
        .with("p99_us", raw.p99_us);

    say("the service");
    let service = BenchService::start(folder).await?;
    let idle = machine::usage_of(service.process.id())?;
    report
        .add("service ready, empty folder", service.ready.as_secs_f64() * 1e3, "ms")
        .with("memory_mb", idle.memory as f64 / 1e6);
    say("loopback");
    let spans = one_by_one(size.served_single, || async {
        service.client.ask(Method::GET, "/healthz", None).await.map(drop)
    });
    spanned(&mut report, "a request over loopback that does nothing", &spans.await?);

    let worker = service.worker().await?;
    for (function, one, many, side) in [
        (OWN, "one-step run over HTTP", "runs of 10 steps over HTTP", "1,000 steps side by side"),
        (FUNCTION, "one-step run by a worker", "runs of 10 steps by a worker", "1,000 steps by a worker"),
    ] {
        let client = &service.client;
        let [single, chained, fanned] =
            ["one", "ten", "each"].map(|kind| format!("{kind}-{function}").replace('.', "-"));
        client.save(&single, &chain(&single, function, 1)).await?;
        client.save(&chained, &chain(&chained, function, STEPS)).await?;
        let each =
            json!([{ "id": "s", "function": function, "with": {}, "foreach": { "in": "${input.items}" } }]);
        client.save(&fanned, &json!({ "name": fanned, "steps": each })).await?;

        say(one);
        let spans = one_by_one(size.served_single, || client.whole_run(&single, &Value::Null)).await?;
        spanned(&mut report, one, &spans);

        say(many);
        let before = used(&service.process, &worker)?;
        let took = at_once(IN_FLIGHT, size.served_many, |_| client.whole_run(&chained, &Value::Null)).await?;
        let spent = used(&service.process, &worker)?.since(before);
        let steps = (size.served_many * STEPS) as f64;
        report
            .add(many, steps / took.whole.as_secs_f64(), "steps/s")
            .with("runs_per_s", size.served_many as f64 / took.whole.as_secs_f64())
            .with("cpu_s_per_1000_steps", spent.cpu.as_secs_f64() / steps * 1e3)
            .with("bytes_written_per_step", spent.written as f64 / steps)
            .with("p99_ms", percentile(&took.spans, 99).as_secs_f64() * 1e3);

        say(side);
        let items: Vec<usize> = (0..SIDE_BY_SIDE).collect();
        let whole = Stopwatch::start();
        client.whole_run(&fanned, &json!({ "items": items })).await?;
        report.add(side, whole.elapsed().as_secs_f64(), "s");
    }

    say("starts with keys");
    let name = "one-everfold-noop";
    let took =
        at_once(STARTING, size.served_starts, |number| start(service.client.clone(), name, number)).await?;
    let after = machine::usage_of(service.process.id())?;
    report
        .add("starts with keys, 30 callers", took.spans.len() as f64 / took.whole.as_secs_f64(), "runs/s")
        .with("p50_ms", percentile(&took.spans, 50).as_secs_f64() * 1e3)
        .with("p99_ms", percentile(&took.spans, 99).as_secs_f64() * 1e3)
        .with("service_peak_memory_mb", after.peak_memory as f64 / 1e6);
    worker.end().await?;
    service.process.end().await?;
    Ok(report)
}

/// A pipeline of steps one after the other that do nothing.
fn chain(name: &str, function: &str, steps: usize) -> Value {
    let step = |at: usize| json!({ "id": format!("s{at}"), "function": function, "with": {} });
    json!({ "name": name, "steps": (0..steps).map(step).collect::<Vec<_>>() })
}

async fn start(client: ServiceClient, pipeline: &str, number: usize) -> Result<(), BenchError> {
    let body = json!({ "pipeline": pipeline, "idempotency_key": format!("start-{number}") });
    client.ask(Method::POST, "/api/v1/runs", Some(&body)).await.map(drop)
}

/// What the service, its worker and this process used up together.
fn used(service: &BenchProcess, worker: &BenchProcess) -> Result<MachineUsage, BenchError> {
    let (service, worker, client) =
        (machine::usage_of(service.id())?, machine::usage_of(worker.id())?, machine::usage()?);
    Ok(MachineUsage {
        cpu: service.cpu + worker.cpu + client.cpu,
        written: service.written + worker.written + client.written,
        ..service
    })
}

fn spanned(report: &mut BenchReport, name: &'static str, spans: &[Duration]) {
    report
        .add(name, percentile(spans, 50).as_secs_f64() * 1e3, "ms p50")
        .with("p99_ms", percentile(spans, 99).as_secs_f64() * 1e3);
}

/// How long each of so many took, sorted; the first ones are not counted.
async fn one_by_one<F: Future<Output = Result<(), BenchError>>>(
    times: usize,
    one: impl Fn() -> F,
) -> Result<Vec<Duration>, BenchError> {
    let mut spans = Vec::with_capacity(times);
    for number in 0..WARMING + times {
        let span = Stopwatch::start();
        one().await?;
        if number >= WARMING {
            spans.push(span.elapsed());
        }
    }
    spans.sort_unstable();
    Ok(spans)
}

/// What many requests at once took.
struct Took {
    whole: Duration,
    /// Of each, sorted.
    spans: Vec<Duration>,
}

/// Does so many, at most `callers` at once.
async fn at_once<F: Future<Output = Result<(), BenchError>>>(
    callers: usize,
    times: usize,
    one: impl Fn(usize) -> F,
) -> Result<Took, BenchError> {
    let (next, one) = (Arc::new(AtomicUsize::new(0)), &one);
    let whole = Stopwatch::start();
    let caller = || {
        let next = Arc::clone(&next);
        async move {
            let mut spans = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= times {
                    return Ok::<_, BenchError>(spans);
                }
                let span = Stopwatch::start();
                one(number).await?;
                spans.push(span.elapsed());
            }
        }
    };
    let spans = try_join_all((0..callers).map(|_| caller())).await?;
    let whole = whole.elapsed();
    let mut spans: Vec<Duration> = spans.into_iter().flatten().collect();
    spans.sort_unstable();
    Ok(Took { whole, spans })
}
