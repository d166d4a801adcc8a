//! Rates of syncs, appends, reads and rebuilds.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::source::Source;
use crate::error::{AppendError, OpenError, ReadError};
use crate::event_store::EventStore;
use crate::files::{Files as _, SystemFiles};
use crate::manifest;
use crate::manifest::{IndexState, ManifestRead};
use crate::options::SledOptions;
use crate::paths::{index_folder, remove_folder};
use crate::sled_store::SledStore;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{Position, Version};
use everfold_system::clock::Stopwatch;

/// What one caller appends at a time.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Callers at once, each with streams of its own.
    pub callers: usize,
    /// Events in an append.
    pub events: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// Appends to a stream before the caller begins the next one.
    pub appends_per_stream: u64,
    /// How long to measure.
    pub span: Duration,
}

/// How fast something repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Repetitions in a second.
    pub per_second: f64,
    /// The median of one, in microseconds.
    pub p50_us: f64,
    /// All but a hundredth took at most this, in microseconds.
    pub p99_us: f64,
}

impl Rate {
    fn of(mut spans: Vec<Duration>, whole: Duration) -> Self {
        spans.sort_unstable();
        let at = |share: usize| spans.get(spans.len() * share / 100).map_or(0.0, |s| s.as_secs_f64() * 1e6);
        Self { per_second: spans.len() as f64 / whole.as_secs_f64(), p50_us: at(50), p99_us: at(99) }
    }
}

/// Appends `bytes` to a file and syncs it, again and again: what the disk itself can do.
///
/// # Errors
/// Those of the operating system.
pub fn raw_sync_rate(folder: &Path, bytes: usize, span: Duration) -> io::Result<Rate> {
    let path = folder.join("raw.tmp");
    let file = SystemFiles.create(&path)?;
    let block = vec![7; bytes];
    let (whole, mut spans, mut offset) = (Stopwatch::start(), Vec::new(), 0);
    while whole.elapsed() < span {
        let one = Stopwatch::start();
        file.write_at(&block, offset)?;
        file.sync()?;
        spans.push(one.elapsed());
        offset += bytes as u64;
    }
    let rate = Rate::of(spans, whole.elapsed());
    drop(file);
    SystemFiles.remove(&path)?;
    Ok(rate)
}

/// The same into a file that was filled with zeros before.
///
/// # Errors
/// Those of the operating system.
pub fn raw_overwrite_rate(folder: &Path, bytes: usize, span: Duration) -> io::Result<Rate> {
    const ROOM: usize = 16 * 1024 * 1024;
    let path = folder.join("raw.tmp");
    let file = SystemFiles.create(&path)?;
    // In pieces: a large block would show as memory that the store used.
    let zeros = vec![0; ROOM / 256];
    for piece in 0..256 {
        file.write_at(&zeros, (piece * zeros.len()) as u64)?;
    }
    file.sync()?;
    let block = vec![7; bytes];
    let (whole, mut spans, mut offset) = (Stopwatch::start(), Vec::new(), 0);
    while whole.elapsed() < span {
        let one = Stopwatch::start();
        file.write_at(&block, (offset % (ROOM - bytes)) as u64)?;
        file.sync()?;
        spans.push(one.elapsed());
        offset += bytes;
    }
    let rate = Rate::of(spans, whole.elapsed());
    drop(file);
    SystemFiles.remove(&path)?;
    Ok(rate)
}

/// Durable appends under a load.
///
/// # Errors
/// The first append that was not acknowledged.
pub async fn append_rate(store: &Arc<dyn EventStore>, load: Load) -> Result<Rate, AppendError> {
    let whole = Stopwatch::start();
    let callers: Vec<_> = (0..load.callers)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { append_for(store, load, whole).await })
        })
        .collect();
    let mut spans = Vec::new();
    for caller in callers {
        let caller = caller.await.map_err(|error| AppendError::Unknown(error.to_string()))?;
        spans.extend(caller?);
    }
    Ok(Rate::of(spans, whole.elapsed()))
}

async fn append_for(
    store: Arc<dyn EventStore>,
    load: Load,
    whole: Stopwatch,
) -> Result<Vec<Duration>, AppendError> {
    let mut spans = Vec::new();
    let mut source = Source::new(load.payload_bytes);
    while whole.elapsed() < load.span {
        if source.appends == load.appends_per_stream {
            source = Source::new(load.payload_bytes);
        }
        let append = source.next(load.events);
        let one = Stopwatch::start();
        store.append(append).await?;
        spans.push(one.elapsed());
    }
    Ok(spans)
}

/// Fills a store with at least so many events, in streams of `per_stream` appends of `batch` events.
///
/// # Errors
/// The first append that was not acknowledged.
pub async fn fill(
    store: &Arc<dyn EventStore>,
    events: u64,
    batch: usize,
    per_stream: u64,
    payload_bytes: usize,
) -> Result<(), AppendError> {
    const CALLERS: u64 = 64;
    let each = events.div_ceil(CALLERS * batch as u64);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut source = Source::new(payload_bytes);
                for _ in 0..each {
                    if source.appends == per_stream {
                        source = Source::new(payload_bytes);
                    }
                    store.append(source.next(batch)).await?;
                }
                Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await.map_err(|error| AppendError::Unknown(error.to_string()))??;
    }
    Ok(())
}

/// Events in a second, and how many there were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throughput {
    /// Events.
    pub events: u64,
    /// Events in a second.
    pub per_second: f64,
    /// The whole span.
    pub took: Duration,
}

impl Throughput {
    fn of(events: u64, took: Duration) -> Self {
        Self { events, per_second: events as f64 / took.as_secs_f64().max(1e-9), took }
    }
}

/// Reads the whole log once, and shows each event.
///
/// # Errors
/// Those of reading.
pub async fn scan_rate(
    store: &Arc<dyn EventStore>,
    mut show: impl FnMut(&Envelope),
) -> Result<Throughput, ReadError> {
    let (whole, last) = (Stopwatch::start(), store.last_position());
    let mut follower = store.subscribe(Position::FIRST);
    let mut next = Position::FIRST;
    while next <= last {
        let events = follower.next().await?;
        events.iter().for_each(|event| show(event));
        next = events.last().map_or(next, |event| event.position.next());
    }
    Ok(Throughput::of(last.0, whole.elapsed()))
}

/// Reads one stream once.
///
/// # Errors
/// Those of reading.
pub async fn read_rate(store: &Arc<dyn EventStore>, stream: &StreamId) -> Result<Throughput, ReadError> {
    let whole = Stopwatch::start();
    let events = store.read(stream, Version::FIRST, usize::MAX).await?;
    Ok(Throughput::of(events.len() as u64, whole.elapsed()))
}

/// Opens a closed store without its index, which is built again.
///
/// # Errors
/// Those of opening.
pub fn rebuild_rate(folder: &Path) -> Result<Throughput, OpenError> {
    let index = index_folder(folder);
    let failed = |source| OpenError::Io { path: index.clone(), source };
    if let ManifestRead::Manifest(mut manifest) = manifest::read(folder).map_err(failed)? {
        // Otherwise opening warns that the index is missing.
        manifest.index = IndexState::Building;
        manifest::write(&SystemFiles, folder, &manifest).map_err(failed)?;
    }
    remove_folder(&index).map_err(failed)?;
    let whole = Stopwatch::start();
    let store = SledStore::open(folder, SledOptions::default())?;
    let took = whole.elapsed();
    Ok(Throughput::of(store.report().position.0, took))
}
