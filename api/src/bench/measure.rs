//! The measurements, one after the other.

use std::path::Path;

use everfold_engine::clock::{self, Stopwatch};
use everfold_engine::driver::Which;
use everfold_engine::store::bench as store_bench;

use super::engine::{BenchEngine, BenchError, IN_FLIGHT};
use super::report::BenchReport;
use super::size::Size;
use super::{load, machine, notices, pages, views};

/// Steps of one of the many runs.
const STEPS: usize = 10;
/// Measures everything in `folder`, which must not exist yet, and removes it. `say` is called with
/// the name of each measurement.
///
/// # Errors
/// Those of the file system, the store and the engine.
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
    let bench = BenchEngine::open(&folder.join("single"), load::edge())?;
    let spans = load::one_by_one(&bench, size.single_runs).await?;
    bench.close().await?;
    let (p50, p99) = (load::percentile(&spans, 50), load::percentile(&spans, 99));
    report
        .add("one-step run, start to end", p50.as_secs_f64() * 1e3, "ms p50")
        .with("p99_ms", p99.as_secs_f64() * 1e3)
        .with("raw_syncs", p50.as_secs_f64() * 1e6 / raw.p50_us);

    say("many runs of 10 steps, 64 in flight");
    let bench = BenchEngine::open(&folder.join("many"), load::edge())?;
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
    let views_folder = folder.join("many-views");
    let before = machine::usage()?;
    let folded = views::folded(&bench.store, &views_folder).await?;
    let spent = machine::usage()?.since(before);
    let reopened = views::reopened(&bench.store, &views_folder).await?;
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
    let begun = clock::now();
    let bench = BenchEngine::open(&folder.join("listed"), load::edge())?;
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

    say("pages of the browser, over as many runs");
    for cost in pages::rendered(&folder.join("listed"), begun).await? {
        report
            .add(cost.name, cost.p50.as_secs_f64() * 1e3, "ms p50")
            .with("p99_ms", cost.p99.as_secs_f64() * 1e3)
            .with("first_ms", cost.first.as_secs_f64() * 1e3)
            .with("kib", cost.bytes as f64 / 1024.0)
            .with("runs", asked.runs as f64);
    }

    say("a fan-out and its join");
    let bench = BenchEngine::open(&folder.join("fan-out"), load::edge())?;
    let took = load::fan_out(&bench, size.fan_out).await?;
    bench.close().await?;
    report
        .add("fan-out and join", took.as_secs_f64(), "s")
        .with("items", size.fan_out as f64)
        .with("items_per_s", size.fan_out as f64 / took.as_secs_f64());

    for (name, receiver) in [
        ("starts beside notices that are refused", notices::NoticeReceiver::Refuses),
        ("starts beside notices that hang", notices::NoticeReceiver::Hangs),
    ] {
        say(name);
        let place = folder.join(name.replace(' ', "-"));
        let beside = notices::beside(&place, size.unsent, receiver).await?;
        let seconds = |took: notices::StartCost| took.wall.as_secs_f64();
        report
            .add(name, seconds(beside.quiet), "s")
            .with("alone_s", seconds(beside.alone))
            .with("with_such_notices_s", seconds(beside.loud))
            .with("the_first_of_them_s", seconds(beside.first))
            .with("cpu_s", beside.quiet.cpu.as_secs_f64())
            .with("cpu_s_alone", beside.alone.cpu.as_secs_f64())
            .with("runs", size.unsent as f64);
    }

    say("recovery of unfinished runs");
    let place = folder.join("unfinished");
    let bench = BenchEngine::open(&place, load::stuck_edge())?;
    load::start_only(&bench, size.unfinished, IN_FLIGHT).await?;
    bench.close().await?;
    let whole = Stopwatch::start();
    let bench = BenchEngine::open(&place, load::edge())?;
    let opened = whole.elapsed();
    let mut ends = load::RunEnds::after(&bench.store);
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
    let bench = BenchEngine::open(&folder.join("long"), load::edge())?;
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
