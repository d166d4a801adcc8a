//! Measures the read models of a log of runs that are just events: folded from nothing, several times, and asked
//! beside a writer.
//!
//! `cargo run --release -p everfold-projections --example read_models -- RUNS FOLDER [FOLDS]`. With `FOLDS` it
//! folds so often and asks nothing. The folder it makes in `FOLDER` is removed.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

#[path = "../tests/projections/history_writer.rs"]
mod history_writer;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use everfold_base::envelope::Envelope;
use everfold_base::id::{Attempt, AttemptId, Position, Round, RunId, StepId, StepPath};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_core::event::{
    self, AttemptSucceeded, RunEvent, RunStarted, RunSucceeded, ScheduledTask, ScheduledWork, StepScheduled,
    StepSucceeded,
};
use everfold_core::state::RunStatus;
use everfold_projections::{GroupBy, ReadSide, RunFilter, RunOrder, StorageLocation};
use everfold_store::{EventStore, SledOptions, SledStore, bench};
use history_writer::write;
use tokio::runtime::Handle;

/// Steps of a run: 32 events.
const STEPS: u64 = 10;
const EVENTS: u64 = 2 + 3 * STEPS;
/// Runs that are appended at once.
const AT_ONCE: u64 = 256;
const BESIDE_AT_ONCE: u64 = 64;
/// Pages of each kind, and rows of a page.
const PAGES: u64 = 60;
const ROWS: usize = 100;

fn run(number: u64) -> RunId {
    let tail = u32::from_le_bytes(Hash::of(&number.to_le_bytes()).0[..4].try_into().unwrap());
    let (minute, rest) = (number >> 16 & 0xffff, number & 0xffff);
    format!("0198c1f0-{minute:04x}-7000-8000-{rest:04x}{tail:08x}").parse().unwrap()
}

fn history(number: u64) -> Vec<RunEvent> {
    let null = || Payload::Inline(JsonText::null());
    let started = RunStarted {
        run: run(number),
        pipeline: format!("bench{}", number % 3),
        definition: Hash::ZERO,
        input: null(),
        title: Some(format!("Bench run number {number}")),
        labels: [("team".to_owned(), format!("t{}", number % 10))].into(),
        cwd: None,
        entropy: 0,
        config: None,
        parent: None,
        priority: 0,
        admission: Vec::new(),
        number: None,
        top: None,
        initiator: None,
    };
    let mut events: Vec<RunEvent> = vec![started.into()];
    for step in 0..STEPS {
        let path = StepPath::step(&StepId::new(&format!("s{step}")));
        let id = AttemptId { path: path.clone(), round: Round(1), attempt: Attempt(1) };
        let task = ScheduledTask { kind: "function".into(), task: null(), timeout_ms: None, grace_ms: 0 };
        events.push(StepScheduled { id: id.clone(), work: ScheduledWork::Task(task) }.into());
        let succeeded = AttemptSucceeded {
            id,
            output: null(),
            commit: None,
            artefacts: Vec::new(),
            ended_at: Timestamp(1),
            notes: Default::default(),
        };
        events.push(succeeded.into());
        let labels = Default::default();
        events.push(StepSucceeded { path, round: Round(1), labels, finish: None, output: None }.into());
    }
    events.push(RunSucceeded { output: null() }.into());
    events
}

async fn append(store: Arc<dyn EventStore>, number: u64) {
    let at = Timestamp(1_790_000_000_000 + number.cast_signed());
    write(store.as_ref(), run(number), at, &history(number)).await;
}

async fn grow(store: &Arc<dyn EventStore>, runs: Range<u64>) {
    for first in runs.clone().step_by(AT_ONCE as usize) {
        let these = first..(first + AT_ONCE).min(runs.end);
        let all: Vec<_> = these.map(|number| tokio::spawn(append(Arc::clone(store), number))).collect();
        for one in all {
            one.await.unwrap();
        }
    }
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Memory now and at most, in MB.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    };
    format!("{:.0} MB, {:.0} at most", of("VmRSS:"), of("VmHWM:"))
}

fn open(place: &Path, store: &Arc<dyn EventStore>) -> Arc<ReadSide> {
    let place = StorageLocation::folder(place.to_owned(), "measured");
    Arc::new(ReadSide::open(place.open().unwrap(), Arc::clone(store), &Handle::current()).unwrap())
}

fn decode(envelope: &Envelope) {
    let header = &envelope.header;
    std::hint::black_box(event::decode(header.kind, header.schema, &envelope.payload)).unwrap();
}

async fn fold(store: &Arc<dyn EventStore>, place: &PathBuf) {
    let last = store.last_position();
    let before = cpu();
    let scan = bench::scan_rate(store, |_event| {}).await.unwrap();
    println!("scan {:.0} events/s, {:.2} CPU s", scan.per_second, cpu() - before);
    let before = cpu();
    let decoded = bench::scan_rate(store, decode).await.unwrap();
    println!("decoded scan {:.0} events/s, {:.2} CPU s", decoded.per_second, cpu() - before);
    if place.exists() {
        fs::remove_dir_all(place).unwrap();
    }
    let (before, whole) = (cpu(), Instant::now());
    let side = open(place, store);
    side.reach(last).await.unwrap();
    side.close().await;
    let rate = last.0 as f64 / whole.elapsed().as_secs_f64();
    let (share, of_decoded) = (rate / scan.per_second, rate / decoded.per_second);
    let spent = cpu() - before;
    println!(
        "fold {rate:.0} events/s, {share:.2} of the scan, {of_decoded:.2} of the decoded one, {spent:.2} CPU s; {}",
        memory()
    );
    drop(side);
    let whole = Instant::now();
    let side = open(place, store);
    side.reach(last).await.unwrap();
    println!("reopened in {:?}", whole.elapsed());
    side.close().await;
}

fn filters() -> Vec<(&'static str, RunFilter)> {
    let words = |text: &str| RunFilter { words: vec![text.into()], ..RunFilter::default() };
    let status = |status| RunFilter { status: vec![status], ..RunFilter::default() };
    let label = ("team".to_owned(), Some("t7".to_owned()));
    vec![
        ("all", RunFilter::default()),
        ("running", status(RunStatus::Running)),
        ("succeeded", status(RunStatus::Succeeded)),
        ("blocked", status(RunStatus::Blocked)),
        ("label", RunFilter { labels: vec![label], ..RunFilter::default() }),
        ("pipeline", RunFilter { pipeline: vec!["bench1".into()], ..RunFilter::default() }),
        ("“number”", words("number")),
        ("“777”", words("777")),
        ("“nowhere”", words("nowhere")),
    ]
}

/// The median and what all but a hundredth took at most.
fn spread(spans: &mut [Duration]) -> String {
    spans.sort_unstable();
    let at = |share: usize| spans[(spans.len() * share / 100).min(spans.len() - 1)];
    format!("p50 {:?}, p99 {:?}, at most {:?}", at(50), at(99), spans[spans.len() - 1])
}

async fn ask(store: &Arc<dyn EventStore>, place: &Path, runs: u64) {
    let side = open(place, store);
    let last = store.last_position();
    side.reach(last).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
        async move {
            let (mut number, whole) = (runs, Instant::now());
            while !stop.load(Ordering::Relaxed) {
                grow(&store, number..number + BESIDE_AT_ONCE).await;
                number += BESIDE_AT_ONCE;
            }
            ((number - runs) * EVENTS) as f64 / whole.elapsed().as_secs_f64()
        }
    });
    let mut all: Vec<Duration> = Vec::new();
    for (name, filter) in filters() {
        for order in [RunOrder::Newest, RunOrder::Oldest, RunOrder::EndedLast] {
            let mut spans = Vec::new();
            for page in 0..PAGES {
                let filter = filter.clone();
                let cursor = (page % 2 == 1).then_some(page * 1_597 % runs);
                let one = Instant::now();
                let list = side
                    .runs(Some(Position::ZERO), move |view| view.list(&filter, order, cursor, ROWS, None));
                list.await.unwrap();
                spans.push(one.elapsed());
            }
            println!("{name} {order:?}: {}", spread(&mut spans));
            all.extend(spans);
        }
    }
    println!("all pages: {}", spread(&mut all));
    let mut past = Vec::new();
    for share in 1..=PAGES {
        let at = Position(last.0 * share / (PAGES + 1));
        let one = Instant::now();
        let board = side.runs(Some(Position::ZERO), move |view| view.board(GroupBy::Status, Some(at), 50));
        board.await.unwrap();
        past.push(one.elapsed());
    }
    println!("boards of the past: {}", spread(&mut past));
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();
    let lag = side.status().iter().map(|model| model.lag).max().unwrap();
    println!("beside {written:.0} events/s; {lag} events behind; {}", memory());
    side.close().await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(runs), Some(folder)) = (args.next().and_then(|runs| runs.parse().ok()), args.next()) else {
        eprintln!("read_models RUNS FOLDER [FOLDS]");
        return;
    };
    let folds: Option<u32> = args.next().and_then(|folds| folds.parse().ok());
    let folder = tempfile::Builder::new().prefix("read-models-").tempdir_in(folder).unwrap();
    let store = SledStore::open(folder.path().join("data"), SledOptions::default()).unwrap();
    let store: Arc<dyn EventStore> = Arc::new(store);
    grow(&store, 0..runs).await;
    println!("{} events; {}", store.last_position(), memory());
    let place = folder.path().join("projections");
    for _ in 0..folds.unwrap_or(3) {
        fold(&store, &place).await;
    }
    if folds.is_none() {
        ask(&store, &place, runs).await;
    }
    store.close().await.unwrap();
}
