//! Measures the store: `cargo run --release -p everfold-store --example store_bench [FOLDER [EVENTS]]`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everfold_base::id::Position;
use everfold_store::bench::{self, Load, Source};
use everfold_store::{EventStore, SledOptions, SledStore};
use everfold_system::clock::Stopwatch;

const SPAN: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let [mode, folder, events] = arguments.as_slice()
        && mode == "fill"
    {
        return runtime.block_on(fill(Path::new(folder), events.parse()?));
    }
    let kept = arguments.first().cloned().unwrap_or_else(|| "store-bench".into());
    let events: u64 = arguments.get(1).map_or(Ok(1_000_000), |events| events.parse())?;
    let folder = Path::new(&kept);
    if folder.exists() {
        return Err(format!("{} exists; name a folder that does not", folder.display()).into());
    }
    runtime.block_on(measure(folder, events))?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn measure(folder: &Path, events: u64) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let raw = bench::raw_sync_rate(folder, 1_400, SPAN)?;
    let over = bench::raw_overwrite_rate(folder, 1_400, SPAN)?;
    println!(
        "raw append + fdatasync       {:>9.0}/s  p50 {:.0} µs  p99 {:.0} µs",
        raw.per_second, raw.p50_us, raw.p99_us
    );
    println!(
        "raw overwrite + fdatasync    {:>9.0}/s  p50 {:.0} µs  p99 {:.0} µs",
        over.per_second, over.p50_us, over.p99_us
    );
    for (callers, events) in [(1, 1), (16, 1), (256, 1), (1, 3), (16, 3), (64, 3), (256, 3)] {
        let store: Arc<dyn EventStore> = Arc::new(SledStore::open(
            folder.join(format!("append-{callers}-{events}")),
            SledOptions::default(),
        )?);
        let load = Load { callers, events, payload_bytes: 375, appends_per_stream: 10, span: SPAN };
        let before = cpu()?;
        let rate = bench::append_rate(&store, load).await?;
        let cpu_us = (cpu()? - before).as_secs_f64() * 1e6 / (rate.per_second * SPAN.as_secs_f64());
        println!(
            "appends of {events}, {callers:>4} callers     {:>9.0}/s  p50 {:.0} µs  p99 {:.0} µs  {:.2} raw  {cpu_us:.1} µs of CPU each",
            rate.per_second,
            rate.p50_us,
            rate.p99_us,
            rate.per_second / raw.per_second
        );
        store.close().await?;
    }
    let large = folder.join("large");
    let whole = Stopwatch::start();
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .arg("fill")
        .arg(&large)
        .arg(events.to_string())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().ok_or("no pipe")?),
        &mut line,
    )?;
    println!(
        "filled with {events} events in {:.1} s; its process is killed now",
        whole.elapsed().as_secs_f64()
    );
    child.kill()?;
    child.wait()?;
    let opening = Stopwatch::start();
    let store = SledStore::open(&large, SledOptions::default())?;
    println!(
        "reopened after kill -9 in {:.3} s: {:?}",
        opening.elapsed().as_secs_f64(),
        store.report().index
    );
    let store: Arc<dyn EventStore> = Arc::new(store);
    let scan = bench::scan_rate(&store, |_event| {}).await?;
    println!("scan of the whole log        {:>9.0} events/s", scan.per_second);
    let mut source = Source::new(375);
    for _ in 0..10 {
        store.append(source.next(1_000)).await?;
    }
    for run in ["cold", "warm"] {
        let read = bench::read_rate(&store, source.stream()).await?;
        println!("read of a 10,000-event stream, {run} {:>9.0} events/s", read.per_second);
    }
    assert_eq!(store.last_position(), Position(scan.events + 10_000));
    store.close().await?;
    drop(store);
    let rebuild = bench::rebuild_rate(&large)?;
    println!(
        "rebuild of the index         {:>9.0} events/s ({:.2} s)",
        rebuild.per_second,
        rebuild.took.as_secs_f64()
    );
    let opening = Stopwatch::start();
    let store = SledStore::open(&large, SledOptions::default())?;
    println!("reopened after close in {:.3} s: {:?}", opening.elapsed().as_secs_f64(), store.report().index);
    Ok(())
}

async fn fill(folder: &Path, events: u64) -> Result<(), Box<dyn Error>> {
    let store: Arc<dyn EventStore> = Arc::new(SledStore::open(folder, SledOptions::default())?);
    bench::fill(&store, events, 3, 10, 375).await?;
    println!("full");
    // The parent kills this process.
    std::future::pending().await
}

fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
