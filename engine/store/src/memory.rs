//! [`MemoryStore`]: a store without a disk, for tests and simulation.
//!
//! Law: answers as [`super::SledStore`] does, without threads: an append is done when the call is.
//! What "the machine" keeps outlives the store that was opened on it: [`MemoryStore::reopen`].
//!
//! Called by tests and the simulated runtime.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::append::{Append, Appended, FirstWrite};
use super::committed::envelopes;
use super::error::{AppendError, ReadError};
use super::event_store::{EventStore, Subscription};
use super::index_record::{DedupRecord, HeadRecord, head_after};
use super::published::PublishedEnd;
use super::stream_head::{Snapshot, StreamHead};
use super::stream_watch::{StreamWatch, WatchedStreams};
use super::validate;
use super::writability::Writability;
use super::write_gate::WriteGate;
use everfold_base::envelope::{Envelope, StreamId, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_system::clock::{self, Clock};

/// Events that a follower gets at once at most.
const EVENTS_MAX: usize = 1_024;

/// The log, its streams, and the dedup records of idempotent writes.
#[derive(Default)]
struct Contents {
    log: Vec<Arc<Envelope>>,
    streams: BTreeMap<StreamId, MemoryStream>,
    dedups: HashMap<Hash, DedupRecord>,
}

struct MemoryStream {
    head: HeadRecord,
    events: Vec<Arc<Envelope>>,
    snapshot: Option<Snapshot>,
}

/// A store in memory.
pub struct MemoryStore {
    contents: Arc<Mutex<Contents>>,
    clock: Clock,
    gate: WriteGate,
    published: watch::Sender<PublishedEnd>,
    watched: Arc<WatchedStreams>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(clock::system())
    }
}

impl MemoryStore {
    /// An empty store whose commit times come from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::over(Arc::default(), clock)
    }

    /// The store as it is found after the end, or the crash, of this one's process.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self::over(self.contents.clone(), self.clock.clone())
    }

    fn over(contents: Arc<Mutex<Contents>>, clock: Clock) -> Self {
        let position = Position(lock(&contents).log.len() as u64);
        let published = watch::Sender::new(PublishedEnd { position, closed: false });
        Self { contents, clock, gate: WriteGate::default(), published, watched: Arc::default() }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }

    fn append_now(&self, append: Append) -> Result<Appended, AppendError> {
        validate::check_form(&append)?;
        if self.published.borrow().closed {
            return Err(AppendError::Closed);
        }
        let mut contents = self.contents();
        let last = contents.log.last().map_or(Timestamp(0), |event| event.committed_at);
        let committed_at = (self.clock)().max(last);
        let head = contents.streams.get(&append.stream).map(|stream| stream.head);
        let dedup = append.dedup.as_ref().and_then(|dedup| contents.dedups.get(&dedup.key));
        if let Some(first) = validate::check_stream(&append, head.as_ref(), dedup, committed_at)? {
            return Ok(first);
        }
        let appended = Appended {
            first_version: append.expected.next(),
            first_position: Position(contents.log.len() as u64 + 1),
            count: u32::try_from(append.events.len()).expect("checked: at most 1,000 events"),
            committed_at,
            repeated: false,
        };
        let head = head_after(&append, head.as_ref(), &appended);
        if let Some(dedup) = &append.dedup {
            contents.dedups.insert(dedup.key, DedupRecord::new(dedup, &appended));
        }
        let name = append.stream.clone();
        let events: Vec<_> = envelopes(append, &appended).map(Arc::new).collect();
        contents.log.extend(events.iter().cloned());
        let stream = contents.streams.entry(name.clone()).or_insert_with(|| MemoryStream {
            head,
            events: Vec::new(),
            snapshot: None,
        });
        stream.head = head;
        stream.events.extend(events);
        // Under the lock, so that positions are published in their order.
        self.published.send_modify(|published| published.position = appended.last_position());
        drop(contents);
        self.watched.report([&name]);
        Ok(appended)
    }
}

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_log(contents: &Mutex<Contents>, from: Position, limit: usize) -> Vec<Arc<Envelope>> {
    let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
    lock(contents).log.iter().skip(skip).take(limit).cloned().collect()
}

impl EventStore for MemoryStore {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.append_now(append) })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        from: Version,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Envelope>, ReadError>> {
        let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
        let contents = self.contents();
        let events = contents.streams.get(stream).map_or(&[][..], |stream| &stream.events);
        let events = events.iter().skip(skip).take(limit).map(|event| Envelope::clone(event)).collect();
        Box::pin(ready(Ok(events)))
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(ready(Ok(read_log(&self.contents, from, limit))))
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<StreamHead>, ReadError>> {
        let head = self.contents().streams.get(stream).map(|stream| stream.head.public());
        Box::pin(ready(Ok(head)))
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        let now = (self.clock)();
        let first = self.contents().dedups.get(&key).and_then(|record| record.public(now));
        Box::pin(ready(Ok(first)))
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamHead)>, ReadError>> {
        let contents = self.contents();
        let wanted = contents
            .streams
            .iter()
            .filter(|(name, _)| name.kind == kind && after.as_ref().is_none_or(|after| name.id > *after));
        let streams = wanted.take(limit).map(|(name, stream)| (name.clone(), stream.head.public())).collect();
        Box::pin(ready(Ok(streams)))
    }

    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>> {
        let contents = self.contents();
        let due: BTreeSet<StreamId> = contents
            .streams
            .iter()
            .filter(|(_, stream)| {
                let note = stream.head.note;
                note.busy || note.wake_at.is_some_and(|at| at <= until)
            })
            .map(|(name, _)| name.clone())
            .collect();
        Box::pin(ready(Ok(due.into_iter().collect())))
    }

    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        let contents = self.contents();
        let notes = contents.streams.values().map(|stream| stream.head.note);
        Box::pin(ready(Ok(notes.filter(|note| !note.busy).filter_map(|note| note.wake_at).min())))
    }

    fn last_position(&self) -> Position {
        self.published.borrow().position
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        Box::new(MemoryFollower {
            contents: self.contents.clone(),
            published: self.published.subscribe(),
            next: from.max(Position::FIRST),
        })
    }

    fn watch(&self, stream: &StreamId) -> StreamWatch {
        self.watched.of(stream)
    }

    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        if let Some(stream) = self.contents().streams.get_mut(stream) {
            stream.snapshot = Some(snapshot);
        }
        Box::pin(ready(Ok(())))
    }

    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>> {
        let contents = self.contents();
        let snapshot = contents.streams.get(stream).and_then(|stream| {
            let snapshot =
                stream.snapshot.as_ref().filter(|snapshot| snapshot.fold_version == fold_version)?;
            let last = usize::try_from(snapshot.version.0.checked_sub(1)?).ok()?;
            (stream.events.get(last)?.hash == snapshot.hash).then(|| snapshot.clone())
        });
        Box::pin(ready(Ok(snapshot)))
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.gate.watch()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>> {
        self.published.send_modify(|published| published.closed = true);
        self.watched.close();
        Box::pin(ready(Ok(())))
    }
}

struct MemoryFollower {
    contents: Arc<Mutex<Contents>>,
    published: watch::Receiver<PublishedEnd>,
    next: Position,
}

impl Subscription for MemoryFollower {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let next = self.next;
            let wanted = |published: &PublishedEnd| published.position >= next || published.closed;
            let found = *self.published.wait_for(wanted).await.map_err(|_| ReadError::Closed)?;
            if found.position < next {
                return Err(ReadError::Closed);
            }
            let events = read_log(&self.contents, next, EVENTS_MAX);
            self.next = Position(next.0 + events.len() as u64);
            Ok(events)
        })
    }
}
