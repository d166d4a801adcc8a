//! [`MemoryStore`]: a store without a disk, for tests and simulation.
//!
//! Law: answers as [`super::SledStore`] does, without threads: an append is done when the call is.
//! What "the machine" keeps outlives the store that was opened on it: [`MemoryStore::reopen`].
//!
//! Called by tests and the simulated driver.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::applier::envelopes;
use super::gate::Gate;
use super::judge::{self, DedupRecord, HeadRecord};
use super::shared::Published;
use super::{
    Append, AppendError, Appended, EventStore, FirstWrite, Head, ReadError, Snapshot, Subscription,
    Writability,
};
use crate::clock::{self, Clock};
use crate::envelope::{Envelope, StreamId, StreamKind};
use crate::id::{Position, Version};
use crate::json::Hash;
use crate::time::Timestamp;

/// Events that a follower gets at once at most.
const EVENTS_MAX: usize = 1_024;

/// What is kept.
#[derive(Default)]
struct Kept {
    log: Vec<Arc<Envelope>>,
    streams: BTreeMap<StreamId, Stream>,
    dedups: HashMap<Hash, DedupRecord>,
}

struct Stream {
    head: HeadRecord,
    events: Vec<Arc<Envelope>>,
    snapshot: Option<Snapshot>,
}

/// A store in memory.
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    clock: Clock,
    gate: Gate,
    published: watch::Sender<Published>,
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
        Self::over(self.kept.clone(), self.clock.clone())
    }

    fn over(kept: Arc<Mutex<Kept>>, clock: Clock) -> Self {
        let position = Position(lock(&kept).log.len() as u64);
        let published = watch::Sender::new(Published { position, closed: false });
        Self { kept, clock, gate: Gate::default(), published }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    fn append_now(&self, append: Append) -> Result<Appended, AppendError> {
        judge::check_form(&append)?;
        if self.published.borrow().closed {
            return Err(AppendError::Closed);
        }
        let mut kept = self.kept();
        let last = kept.log.last().map_or(Timestamp(0), |event| event.committed_at);
        let committed_at = (self.clock)().max(last);
        let head = kept.streams.get(&append.stream).map(|stream| stream.head);
        let dedup = append.dedup.as_ref().and_then(|dedup| kept.dedups.get(&dedup.key));
        if let Some(first) = judge::judge(&append, head.as_ref(), dedup, committed_at)? {
            return Ok(first);
        }
        let went = Appended {
            first_version: append.expected.next(),
            first_position: Position(kept.log.len() as u64 + 1),
            count: u32::try_from(append.events.len()).expect("checked: at most 1,000 events"),
            committed_at,
            repeated: false,
        };
        let head = judge::head_after(&append, head.as_ref(), &went);
        if let Some(dedup) = &append.dedup {
            kept.dedups.insert(dedup.key, DedupRecord::new(dedup, &went));
        }
        let name = append.stream.clone();
        let events: Vec<_> = envelopes(append, &went).map(Arc::new).collect();
        kept.log.extend(events.iter().cloned());
        let stream =
            kept.streams.entry(name).or_insert_with(|| Stream { head, events: Vec::new(), snapshot: None });
        stream.head = head;
        stream.events.extend(events);
        // Under the lock, so that positions are published in their order.
        self.published.send_modify(|published| published.position = went.last_position());
        Ok(went)
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_log(kept: &Mutex<Kept>, from: Position, limit: usize) -> Vec<Arc<Envelope>> {
    let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
    lock(kept).log.iter().skip(skip).take(limit).cloned().collect()
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
        let kept = self.kept();
        let events = kept.streams.get(stream).map_or(&[][..], |stream| &stream.events);
        let events = events.iter().skip(skip).take(limit).map(|event| Envelope::clone(event)).collect();
        Box::pin(ready(Ok(events)))
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(ready(Ok(read_log(&self.kept, from, limit))))
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<Head>, ReadError>> {
        let head = self.kept().streams.get(stream).map(|stream| stream.head.public());
        Box::pin(ready(Ok(head)))
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        let now = (self.clock)();
        let first = self.kept().dedups.get(&key).and_then(|record| record.public(now));
        Box::pin(ready(Ok(first)))
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, Head)>, ReadError>> {
        let kept = self.kept();
        let wanted = kept
            .streams
            .iter()
            .filter(|(name, _)| name.kind == kind && after.as_ref().is_none_or(|after| name.id > *after));
        let streams = wanted.take(limit).map(|(name, stream)| (name.clone(), stream.head.public())).collect();
        Box::pin(ready(Ok(streams)))
    }

    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>> {
        let kept = self.kept();
        let due: BTreeSet<StreamId> = kept
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
        let kept = self.kept();
        let notes = kept.streams.values().map(|stream| stream.head.note);
        Box::pin(ready(Ok(notes.filter(|note| !note.busy).filter_map(|note| note.wake_at).min())))
    }

    fn last_position(&self) -> Position {
        self.published.borrow().position
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        Box::new(MemoryFollower {
            kept: self.kept.clone(),
            published: self.published.subscribe(),
            next: from.max(Position::FIRST),
        })
    }

    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        if let Some(stream) = self.kept().streams.get_mut(stream) {
            stream.snapshot = Some(snapshot);
        }
        Box::pin(ready(Ok(())))
    }

    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>> {
        let kept = self.kept();
        let snapshot = kept.streams.get(stream).and_then(|stream| {
            let snapshot = stream.snapshot.as_ref().filter(|kept| kept.fold_version == fold_version)?;
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
        Box::pin(ready(Ok(())))
    }
}

struct MemoryFollower {
    kept: Arc<Mutex<Kept>>,
    published: watch::Receiver<Published>,
    next: Position,
}

impl Subscription for MemoryFollower {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let next = self.next;
            let wanted = |published: &Published| published.position >= next || published.closed;
            let found = *self.published.wait_for(wanted).await.map_err(|_| ReadError::Closed)?;
            if found.position < next {
                return Err(ReadError::Closed);
            }
            let events = read_log(&self.kept, next, EVENTS_MAX);
            self.next = Position(next.0 + events.len() as u64);
            Ok(events)
        })
    }
}
