//! `everfold bench`: what this machine does, beside what its disk could do at best.
//!
//! Law: every figure comes with the raw limit measured in the same folder in the same minute, and
//! nothing is asserted. A load is real: the same engine, store and executor as everywhere else.
//!
//! Called by the command line.

mod load;
mod machine;
mod notices;
mod report;
mod views;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::driver::{Engine, EngineConfig, Which};
use everfold_engine::execution::Edge;
use everfold_engine::layout::Layout;
use everfold_engine::store::bench as store_bench;
use everfold_engine::store::{BlobStore, EventStore, SledOptions, SledStore};

pub use report::{Figure, Report};

/// What went wrong while measuring.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub(crate) raw: Duration,
    pub(crate) single_runs: usize,
    pub(crate) many_runs: usize,
    pub(crate) fan_out: usize,
    pub(crate) unfinished: usize,
    pub(crate) history: u64,
    pub(crate) listed: usize,
    pub(crate) untold: usize,
}

impl Size {
    /// Ends within 45 s on 2 cores.
    pub const QUICK: Self = Self {
        raw: Duration::from_secs(1),
        single_runs: 500,
        many_runs: 2_000,
        fan_out: 1_000,
        unfinished: 10_000,
        history: 10_000,
        listed: 10_000,
        untold: 2_000,
    };
    /// Takes minutes, and varies less.
    pub const FULL: Self = Self {
        raw: Duration::from_secs(5),
        single_runs: 5_000,
        many_runs: 20_000,
        fan_out: 10_000,
        unfinished: 50_000,
        history: 100_000,
        listed: 100_000,
        untold: 20_000,
    };
}

/// Steps of one of the many runs, and runs in flight at once.
const STEPS: usize = 10;
const IN_FLIGHT: usize = 64;

/// An engine over a store in a folder of its own.
struct Bench {
    engine: Engine,
    store: Arc<dyn EventStore>,
}

impl Bench {
    fn open(folder: &Path, edge: Edge) -> Result<Self, Problem> {
        let store: Arc<dyn EventStore> = Arc::new(SledStore::open(folder, SledOptions::default())?);
        let layout = Layout::new(folder);
        let blobs = Arc::new(BlobStore::new(folder));
        let engine = Engine::open(EngineConfig::default(), store.clone(), blobs, layout, edge);
        Ok(Self { engine, store })
    }

    async fn close(self) -> Result<(), Problem> {
        self.engine.shutdown(Duration::from_secs(5)).await;
        self.store.close().await?;
        Ok(())
    }
}

/// Measures everything in `folder`, which must not exist yet, and removes it. `say` is told what is
/// being measured.
///
/// # Errors
/// Those of the file system, the store and the engine.
pub async fn run(folder: &Path, size: Size, say: &dyn Fn(&str)) -> Result<Report, Problem> {
    std::fs::create_dir(folder)?;
    let report = measure(folder, size, say).await;
    std::fs::remove_dir_all(folder)?;
    report
}

async fn measure(folder: &Path, size: Size, say: &dyn Fn(&str)) -> Result<Report, Problem> {
    let mut report = Report::default();
    say("the disk");
    let raw = store_bench::raw_sync_rate(folder, 1_400, size.raw)?;
    let raw_overwrite = store_bench::raw_overwrite_rate(folder, 1_400, size.raw)?;
    report
        .add("raw append + fdatasync", raw.per_second, "/s")
        .with("p50_us", raw.p50_us)
        .with("p99_us", raw.p99_us);
    report
        .add("raw overwrite + fdatasync", raw_overwrite.per_second, "/s")
        .with("p50_us", raw_overwrite.p50_us)
        .with("p99_us", raw_overwrite.p99_us);

    say("one-step runs, one after the other");
    let bench = Bench::open(&folder.join("single"), load::edge())?;
    let spans = load::one_by_one(&bench, size.single_runs).await?;
    bench.close().await?;
    let (p50, p99) = (load::percentile(&spans, 50), load::percentile(&spans, 99));
    report
        .add("one-step run, start to end", p50.as_secs_f64() * 1e3, "ms p50")
        .with("p99_ms", p99.as_secs_f64() * 1e3)
        .with("raw_syncs", p50.as_secs_f64() * 1e6 / raw.p50_us);

    say("many runs of 10 steps, 64 in flight");
    let bench = Bench::open(&folder.join("many"), load::edge())?;
    let before = machine::usage()?;
    let took = load::many(&bench, size.many_runs, STEPS, IN_FLIGHT).await?;
    let spent = machine::usage()?.since(before);
    let steps = (size.many_runs * STEPS) as f64;
    report
        .add("runs of 10 trivial steps, 64 in flight", steps / took.as_secs_f64(), "steps/s")
        .with("runs_per_s", size.many_runs as f64 / took.as_secs_f64())
        .with("cpu_s_per_1000_steps", spent.cpu.as_secs_f64() / steps * 1e3)
        .with("bytes_written_per_step", spent.written as f64 / steps)
        .with("peak_memory_mb", spent.peak_memory as f64 / 1e6);
    say("the whole log");
    let scan = store_bench::scan_rate(&bench.store, |_event| {}).await?;
    let decoded = store_bench::scan_rate(&bench.store, views::decode).await?;
    report
        .add("scan of the whole log", scan.per_second, "events/s")
        .with("decoded_events_per_s", decoded.per_second)
        .with("events", scan.events as f64);
    say("the read models, folded from the log");
    let shelf = folder.join("many-views");
    let before = machine::usage()?;
    let folded = views::folded(&bench.store, &shelf).await?;
    let spent = machine::usage()?.since(before);
    let reopened = views::reopened(&bench.store, &shelf).await?;
    report
        .add("fold of all read models", folded, "events/s")
        .with("of_the_scan", folded / scan.per_second)
        .with("of_the_decoded_scan", folded / decoded.per_second)
        .with("cpu_us_per_event", spent.cpu.as_secs_f64() * 1e6 / scan.events as f64)
        .with("memory_grown_mb", spent.memory as f64 / 1e6)
        .with("bytes_written_per_event", spent.written as f64 / scan.events as f64)
        .with("reopened_ms", reopened.as_secs_f64() * 1e3);
    bench.close().await?;

    say("pages of lists, beside a writing load");
    let bench = Bench::open(&folder.join("listed"), load::edge())?;
    let asked = views::asked(&bench, &folder.join("listed-views"), size.listed).await?;
    // As after a kill before the first checkpoint of the read models: all runs began within one part of the log.
    let before = machine::usage()?;
    let anew = views::folded(&bench.store, &folder.join("listed-views-anew")).await?;
    let spent = machine::usage()?.since(before);
    let events = bench.store.last_position().get() as f64;
    bench.close().await?;
    report
        .add("page of 100 runs", asked.p99.as_secs_f64() * 1e3, "ms p99")
        .with("p50_ms", asked.p50.as_secs_f64() * 1e3)
        .with("slowest_ms", asked.slowest.as_secs_f64() * 1e3)
        .with("board_of_the_past_p99_ms", asked.past_p99.as_secs_f64() * 1e3)
        .with("runs", asked.runs as f64)
        .with("lag_events", asked.lag as f64)
        .with("steps_per_s_beside", asked.steps);
    report
        .add("fold of titled runs from nothing", anew, "events/s")
        .with("runs", asked.runs as f64)
        .with("seconds", events / anew)
        .with("cpu_s", spent.cpu.as_secs_f64());

    say("a fan-out and its join");
    let bench = Bench::open(&folder.join("fan-out"), load::edge())?;
    let took = load::fan_out(&bench, size.fan_out).await?;
    bench.close().await?;
    report
        .add("fan-out and join", took.as_secs_f64(), "s")
        .with("items", size.fan_out as f64)
        .with("items_per_s", size.fan_out as f64 / took.as_secs_f64());

    for (name, receiver) in [
        ("starts beside notices that are refused", notices::Receiver::Refuses),
        ("starts beside notices that hang", notices::Receiver::Hangs),
    ] {
        say(name);
        let place = folder.join(name.replace(' ', "-"));
        let beside = notices::beside(&place, size.untold, receiver).await?;
        let seconds = |took: notices::Took| took.wall.as_secs_f64();
        report
            .add(name, seconds(beside.quiet), "s")
            .with("alone_s", seconds(beside.alone))
            .with("with_such_notices_s", seconds(beside.loud))
            .with("the_first_of_them_s", seconds(beside.first))
            .with("cpu_s", beside.quiet.cpu.as_secs_f64())
            .with("cpu_s_alone", beside.alone.cpu.as_secs_f64())
            .with("runs", size.untold as f64);
    }

    say("recovery of unfinished runs");
    let place = folder.join("unfinished");
    let bench = Bench::open(&place, load::stuck_edge())?;
    load::start_only(&bench, size.unfinished, IN_FLIGHT).await?;
    bench.close().await?;
    let whole = Stopwatch::start();
    let bench = Bench::open(&place, load::edge())?;
    let opened = whole.elapsed();
    let mut ends = load::Ends::after(&bench.store);
    bench.engine.recover(Which::All).await?;
    ends.wait_for(size.unfinished).await?;
    let took = whole.elapsed();
    bench.close().await?;
    report
        .add("recovery, open to all finished", took.as_secs_f64(), "s")
        .with("runs", size.unfinished as f64)
        .with("open_s", opened.as_secs_f64())
        .with("runs_per_s", size.unfinished as f64 / took.as_secs_f64());

    say("a long run, folded");
    let bench = Bench::open(&folder.join("long"), load::edge())?;
    let folded = load::fold(&bench, size.history).await?;
    bench.close().await?;
    report
        .add("fold of one run, decoded from the store", folded.cold, "events/s")
        .with("events", folded.events as f64)
        .with("warm_events_per_s", folded.warm);

    say("the index, rebuilt from the journal");
    let rebuilt = store_bench::rebuild_rate(&folder.join("many"))?;
    report.add("rebuild of the index", rebuilt.per_second, "events/s").with("events", rebuilt.events as f64);
    Ok(report)
}
