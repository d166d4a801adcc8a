//! The read models: folded from nothing, and asked beside a writing load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::envelope::{Envelope, StreamKind};
use everfold_engine::event;
use everfold_engine::id::Position;
use everfold_engine::state::RunStatus;
use everfold_engine::store::EventStore;
use everfold_projections::{GroupBy, ReadSide, RunFilter, RunOrder, StorageLocation};

use super::engine::{BenchEngine, BenchError, IN_FLIGHT};
use super::load::{self, percentile};

/// Rows of a page.
const PAGE: usize = 100;
/// Pages of each kind that are asked for.
const PAGES: usize = 60;

/// Decodes an event of a run, for nothing: what every reader of the log pays besides reading.
pub(super) fn decode(envelope: &Envelope) {
    let header = &envelope.header;
    if header.stream.kind == StreamKind::Run {
        let _decoded = std::hint::black_box(event::decode(header.kind, header.schema, &envelope.payload));
    }
}

/// Folds all read models from the first event on, in a folder that is not there yet. Gives the events
/// per second, the last checkpoint included.
pub(super) async fn folded(store: &Arc<dyn EventStore>, folder: &Path) -> Result<f64, BenchError> {
    let whole = Stopwatch::start();
    let side = open(store, folder)?;
    side.reach(store.last_position()).await?;
    side.close().await;
    Ok(store.last_position().0 as f64 / whole.elapsed().as_secs_f64())
}

/// How long opening takes until the models are at the head, where they were put away.
pub(super) async fn reopened(store: &Arc<dyn EventStore>, folder: &Path) -> Result<Duration, BenchError> {
    let whole = Stopwatch::start();
    let side = open(store, folder)?;
    side.reach(store.last_position()).await?;
    let took = whole.elapsed();
    side.close().await;
    Ok(took)
}

fn open(store: &Arc<dyn EventStore>, folder: &Path) -> Result<ReadSide, BenchError> {
    let place = StorageLocation::folder(folder.to_owned(), "bench");
    Ok(ReadSide::open(place.open()?, Arc::clone(store), &tokio::runtime::Handle::current())?)
}

/// What asking cost.
pub(super) struct QueryCost {
    pub(super) runs: u64,
    /// Of all pages of all kinds.
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) slowest: Duration,
    /// The same, for boards and counts of the past.
    pub(super) past_p99: Duration,
    /// Events that the models were behind at most when an answer came.
    pub(super) lag: u64,
    /// Steps per second of the load beside it.
    pub(super) steps: f64,
}

/// Makes so many runs, then asks for pages of every kind while others run.
pub(super) async fn asked(bench: &BenchEngine, folder: &Path, runs: usize) -> Result<QueryCost, BenchError> {
    let side = Arc::new(open(&bench.store, folder)?);
    load::titled(bench, runs, IN_FLIGHT).await?;
    side.reach(bench.store.last_position()).await?;
    let middle = Position(bench.store.last_position().0 / 2);
    let ended = Arc::new(AtomicBool::new(false));
    let mut beside = Box::pin(async {
        let (whole, mut steps) = (Stopwatch::start(), 0);
        while !ended.load(Ordering::Relaxed) {
            load::many(bench, 200, 10, IN_FLIGHT).await?;
            steps += 2_000;
        }
        Ok::<f64, BenchError>(f64::from(steps) / whole.elapsed().as_secs_f64())
    });
    let mut asking = Box::pin(async {
        let spans = pages(&side, &bench.store, middle).await;
        ended.store(true, Ordering::Relaxed);
        spans
    });
    let (spans, steps) = tokio::join!(&mut asking, &mut beside);
    drop((asking, beside));
    let (mut spans, mut past, lag) = spans?;
    spans.sort_unstable();
    past.sort_unstable();
    let total = side.runs(None, |runs| Ok(runs.len() as u64)).await?.value;
    side.close().await;
    Ok(QueryCost {
        runs: total,
        p50: percentile(&spans, 50),
        p99: percentile(&spans, 99),
        slowest: spans.last().copied().unwrap_or_default(),
        past_p99: percentile(&past, 99),
        lag,
        steps: steps?,
    })
}

type Spans = (Vec<Duration>, Vec<Duration>, u64);

async fn pages(side: &ReadSide, store: &Arc<dyn EventStore>, past: Position) -> Result<Spans, BenchError> {
    let words = |text: &str| RunFilter { words: vec![text.to_owned()], ..RunFilter::default() };
    let filters = [
        RunFilter::default(),
        RunFilter { status: vec![RunStatus::Running, RunStatus::Queued], ..RunFilter::default() },
        RunFilter { status: vec![RunStatus::Succeeded], ..RunFilter::default() },
        RunFilter { status: vec![RunStatus::Blocked], ..RunFilter::default() },
        RunFilter { labels: vec![("team".into(), Some("t7".into()))], ..RunFilter::default() },
        RunFilter { pipeline: vec!["bench".into()], ..RunFilter::default() },
        words("number"),
        words("777"),
        words("no run says this"),
    ];
    let orders = [RunOrder::Newest, RunOrder::Oldest, RunOrder::EndedLast];
    let (mut spans, mut past_spans, mut lag) = (Vec::new(), Vec::new(), 0);
    for round in 0..PAGES {
        for filter in &filters {
            for order in orders {
                let filter = filter.clone();
                let cursor = (round % 2 == 1).then_some(round as u64 * 97);
                let one = Stopwatch::start();
                // What is there at this moment: what a reader without a position of its own wants.
                let at_once = Some(Position::ZERO);
                let answer =
                    side.runs(at_once, move |runs| runs.list(&filter, order, cursor, PAGE, None)).await?;
                spans.push(one.elapsed());
                lag = lag.max(store.last_position().0.saturating_sub(answer.position.0));
            }
        }
        let one = Stopwatch::start();
        side.runs(Some(Position::ZERO), |runs| runs.board(GroupBy::Stage, None, PAGE)).await?;
        spans.push(one.elapsed());
        let one = Stopwatch::start();
        side.runs(None, move |runs| runs.board(GroupBy::Status, Some(past), PAGE)).await?;
        past_spans.push(one.elapsed());
    }
    Ok((spans, past_spans, lag))
}
