//! The loads: real runs on a real engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::clock::Stopwatch;
use everfold_engine::definition::Definition;
use everfold_engine::driver::StartRequest;
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{self, RunEvent};
use everfold_engine::execution::{AttemptEnd, AttemptObserver, AttemptRequest, Edge, Executor, Traits};
use everfold_engine::id::Version;
use everfold_engine::input::StartOptions;
use everfold_engine::json::{JsonText, Value};
use everfold_engine::state::{EventMeta, RunState};
use everfold_engine::store::{EventStore, Subscription};
use everfold_workflows::function::{FunctionExecutor, Functions};
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::engine::{BenchEngine, BenchError};

pub(super) fn edge() -> Edge {
    with_functions(Arc::new(FunctionExecutor::new(Functions::built_in())))
}

/// Work that never ends: for runs that are to be found unfinished.
pub(super) fn stuck_edge() -> Edge {
    with_functions(Arc::new(Stuck(FunctionExecutor::new(Functions::built_in()))))
}

fn with_functions(executor: Arc<dyn Executor>) -> Edge {
    Edge { executors: BTreeMap::from([("function".to_owned(), executor)]), ..Edge::default() }
}

struct Stuck(FunctionExecutor);

impl Executor for Stuck {
    fn traits(&self, spec: &Value) -> Traits {
        self.0.traits(spec)
    }

    fn start(&self, _: AttemptRequest, _: Arc<dyn AttemptObserver>) -> BoxFuture<'static, AttemptEnd> {
        Box::pin(std::future::pending())
    }

    fn reattach(&self, _: AttemptRequest, _: Arc<dyn AttemptObserver>) -> BoxFuture<'static, AttemptEnd> {
        Box::pin(std::future::pending())
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.0.cancel(request)
    }
}

fn pipeline(steps: Value) -> Result<Arc<Definition>, BenchError> {
    let document = json!({"name": "bench", "steps": steps});
    Ok(Arc::new(Definition::from_document(&document.to_string())?))
}

/// Steps one after the other that do nothing.
pub(super) fn chain(steps: usize) -> Result<Arc<Definition>, BenchError> {
    let step = |at: usize| {
        let needs: Vec<String> = at.checked_sub(1).map(|before| format!("s{before}")).into_iter().collect();
        json!({"id": format!("s{at}"), "needs": needs, "work": {"task": {"kind": "function", "spec": {"name": "everfold.noop", "with": {}}}}})
    };
    pipeline((0..steps).map(step).collect())
}

pub(super) fn request(definition: &Arc<Definition>, input: JsonText) -> StartRequest {
    StartRequest::new(definition.clone(), StartOptions::new(input), Actor::User("bench".into()))
}

/// Counts runs that end.
pub(super) struct RunEnds(Box<dyn Subscription>);

impl RunEnds {
    pub(super) fn after(store: &Arc<dyn EventStore>) -> Self {
        Self(store.subscribe(store.last_position().next()))
    }

    /// How many ended in what comes next; several may come at once.
    async fn next(&mut self) -> Result<usize, BenchError> {
        loop {
            let events = self.0.next().await?;
            let ends = events.iter().filter(|event| RunEvent::ends_run(event.header.kind)).count();
            if ends > 0 {
                return Ok(ends);
            }
        }
    }

    pub(super) async fn wait_for(&mut self, runs: usize) -> Result<(), BenchError> {
        let mut left = runs;
        while left > 0 {
            left = left.saturating_sub(self.next().await?);
        }
        Ok(())
    }
}

/// How long each of so many one-step runs took, sorted.
pub(super) async fn one_by_one(bench: &BenchEngine, runs: usize) -> Result<Vec<Duration>, BenchError> {
    let definition = chain(1)?;
    let mut spans = Vec::with_capacity(runs);
    let mut ends = RunEnds::after(&bench.store);
    for _ in 0..runs {
        let one = Stopwatch::start();
        bench.engine.start(request(&definition, JsonText::null())).await?;
        ends.wait_for(1).await?;
        spans.push(one.elapsed());
    }
    spans.sort_unstable();
    Ok(spans)
}

pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Starts so many runs, at most `in_flight` unended at once, and waits for all.
pub(super) async fn many(
    bench: &BenchEngine,
    runs: usize,
    steps: usize,
    in_flight: usize,
) -> Result<Duration, BenchError> {
    let definition = chain(steps)?;
    flow(bench, runs, in_flight, move |_| request(&definition, JsonText::null())).await
}

/// The same with runs of one step that have titles and labels.
pub(super) async fn titled(
    bench: &BenchEngine,
    runs: usize,
    in_flight: usize,
) -> Result<Duration, BenchError> {
    let definition = chain(1)?;
    let named = move |number: usize| {
        let mut request = request(&definition, JsonText::null());
        request.options.title = Some(format!("Bench run number {number}"));
        request.options.labels.insert("team".to_owned(), format!("t{}", number % 10));
        request
    };
    flow(bench, runs, in_flight, named).await
}

pub(super) async fn flow(
    bench: &BenchEngine,
    runs: usize,
    in_flight: usize,
    request: impl Fn(usize) -> StartRequest + Send + 'static,
) -> Result<Duration, BenchError> {
    let whole = Stopwatch::start();
    let mut ends = RunEnds::after(&bench.store);
    let slots = Arc::new(tokio::sync::Semaphore::new(in_flight));
    let starting = {
        let (engine, slots) = (bench.engine.clone(), slots.clone());
        tokio::spawn(async move {
            for number in 0..runs {
                slots.acquire().await?.forget();
                let (engine, request) = (engine.clone(), request(number));
                tokio::spawn(async move { engine.start(request).await });
            }
            Ok::<(), tokio::sync::AcquireError>(())
        })
    };
    let mut left = runs;
    while left > 0 {
        let ended = ends.next().await?;
        left = left.saturating_sub(ended);
        slots.add_permits(ended);
    }
    starting.await??;
    Ok(whole.elapsed())
}

/// Starts runs and does not wait for their end.
pub(super) async fn start_only(bench: &BenchEngine, runs: usize, in_flight: usize) -> Result<(), BenchError> {
    let definition = chain(1)?;
    futures::stream::iter(0..runs)
        .map(|_| bench.engine.start(request(&definition, JsonText::null())))
        .buffer_unordered(in_flight)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

pub(super) async fn fan_out(bench: &BenchEngine, items: usize) -> Result<Duration, BenchError> {
    let noop = json!({"task": {"kind": "function", "spec": {"name": "everfold.noop", "with": {}}}});
    let definition = pipeline(json!([
        {"id": "each", "work": noop, "foreach": {"items": "${input}"}},
        {"id": "join", "work": noop, "needs": ["each"]},
    ]))?;
    let mut ends = RunEnds::after(&bench.store);
    let whole = Stopwatch::start();
    let list: Vec<usize> = (0..items).collect();
    bench.engine.start(request(&definition, json!(list).into())).await?;
    ends.wait_for(1).await?;
    Ok(whole.elapsed())
}

/// Events folded in a second.
pub(super) struct FoldRate {
    pub(super) events: u64,
    /// Read from the store and decoded.
    pub(super) cold: f64,
    /// Decoded events only.
    pub(super) warm: f64,
}

/// Makes a run of at least so many events and folds it.
pub(super) async fn fold(bench: &BenchEngine, events: u64) -> Result<FoldRate, BenchError> {
    let items = usize::try_from(events / 2)?;
    let noop = json!({"task": {"kind": "function", "spec": {"name": "everfold.noop", "with": {}}}});
    let definition = pipeline(json!([{"id": "each", "work": noop, "foreach": {"items": "${input}"}}]))?;
    let mut ends = RunEnds::after(&bench.store);
    let list: Vec<usize> = (0..items).collect();
    let started = bench.engine.start(request(&definition, json!(list).into())).await?;
    ends.wait_for(1).await?;
    let stream = StreamId::run(started.run);
    let whole = Stopwatch::start();
    let envelopes = bench.store.read(&stream, Version::FIRST, usize::MAX).await?;
    let facts: Vec<(EventMeta, RunEvent)> = envelopes
        .iter()
        .map(|envelope| {
            let header = &envelope.header;
            let meta =
                EventMeta { at: header.recorded_at, actor: header.actor.clone(), input: header.cause.input };
            event::decode(header.kind, header.schema, &envelope.payload).map(|event| (meta, event))
        })
        .collect::<Result<_, _>>()?;
    let again = |mut state: RunState| {
        for (meta, event) in &facts {
            state.apply(event, meta);
        }
        state.version()
    };
    let folded = again(RunState::new(definition.clone()));
    let cold = whole.elapsed();
    let warm = Stopwatch::start();
    again(RunState::new(definition));
    let warm = warm.elapsed();
    Ok(FoldRate {
        events: folded.0,
        cold: folded.0 as f64 / cold.as_secs_f64(),
        warm: folded.0 as f64 / warm.as_secs_f64(),
    })
}
