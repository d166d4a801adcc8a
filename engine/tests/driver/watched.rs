//! A store that is watched, slowed down and made to fail.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::envelope::{Envelope, StreamId, StreamKind};
use everfold_engine::id::{Position, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore, FirstWrite, Head, MemoryStore, ReadError, Snapshot,
    Subscription, Writability,
};
use everfold_engine::time::Timestamp;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// What an append to a run's stream is made to do.
pub enum Fault {
    /// It is kept, and its acknowledgement is lost.
    Kept,
    /// It is not kept, and nobody can know.
    Dropped,
    /// The disk is full.
    Full,
}

pub struct Watched {
    pub inner: MemoryStore,
    pub delay_ms: AtomicU64,
    pub appends: AtomicUsize,
    pub reads: AtomicUsize,
    in_flight: Mutex<HashMap<StreamId, usize>>,
    pub faults: Mutex<VecDeque<Fault>>,
    /// What the next append to the stream of pauses is made to do.
    halt_fault: Mutex<Option<Fault>>,
    /// What the next append to a key's stream is made to do.
    key_fault: Mutex<Option<Fault>>,
    /// Appends to counters of budgets never come to an end.
    pub counters_stand: AtomicBool,
    pub writability: watch::Sender<Writability>,
    /// The index cannot be mended for want of room.
    pub is_unreadable: AtomicBool,
}

impl Watched {
    pub fn new(inner: MemoryStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            delay_ms: AtomicU64::new(0),
            appends: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            in_flight: Mutex::default(),
            faults: Mutex::default(),
            halt_fault: Mutex::default(),
            key_fault: Mutex::default(),
            counters_stand: AtomicBool::new(false),
            writability: watch::Sender::new(Writability::Writable),
            is_unreadable: AtomicBool::new(false),
        })
    }

    pub fn appends(&self) -> usize {
        self.appends.load(Ordering::SeqCst)
    }

    /// A disk so full that not even the index can be read, or no more.
    pub fn set_full(&self, is_full: bool) {
        self.is_unreadable.store(is_full, Ordering::SeqCst);
        self.writability.send_replace(if is_full { Writability::Full } else { Writability::Writable });
    }

    pub fn fail_halt(&self, fault: Fault) {
        *self.halt_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_key(&self, fault: Fault) {
        *self.key_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }
}

impl EventStore for Watched {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let stream = append.stream.clone();
            if stream.kind == StreamKind::Budget && self.counters_stand.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if stream.kind != StreamKind::Run {
                let fault = match stream.kind {
                    StreamKind::Key => self.key_fault.lock().unwrap().take(),
                    _ if stream == StreamId::engine("halts") => self.halt_fault.lock().unwrap().take(),
                    _other => None,
                };
                let unknown = || Err(AppendError::Unknown("nobody can know".into()));
                return match fault {
                    None => self.inner.append(append).await,
                    Some(Fault::Kept) => self.inner.append(append).await.and_then(|_| unknown()),
                    Some(Fault::Dropped | Fault::Full) => unknown(),
                };
            }
            self.appends.fetch_add(1, Ordering::SeqCst);
            {
                let mut in_flight = self.in_flight.lock().unwrap();
                let count = in_flight.entry(stream.clone()).or_default();
                *count += 1;
                assert_eq!(*count, 1, "D2: two appends of {stream} in flight");
            }
            match self.delay_ms.load(Ordering::SeqCst) {
                0 => {}
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
            let fault = self.faults.lock().unwrap().pop_front();
            let result = match fault {
                None => self.inner.append(append).await,
                Some(Fault::Kept) => {
                    self.inner.append(append).await.unwrap();
                    Err(AppendError::Unknown("the acknowledgement was lost".into()))
                }
                Some(Fault::Dropped) => Err(AppendError::Unknown("the disk went away".into())),
                Some(Fault::Full) => Err(AppendError::Full),
            };
            self.in_flight.lock().unwrap().remove(&stream);
            result
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        from: Version,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Envelope>, ReadError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.is_unreadable.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(ReadError::Full)));
        }
        self.inner.read(stream, from, limit)
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        self.inner.read_all(from, limit)
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<Head>, ReadError>> {
        self.inner.head(stream)
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        self.inner.first_write(key)
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, Head)>, ReadError>> {
        self.inner.streams(kind, after, limit)
    }

    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>> {
        self.inner.due(until)
    }

    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        self.inner.next_wake()
    }

    fn last_position(&self) -> Position {
        self.inner.last_position()
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        self.inner.subscribe(from)
    }

    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        self.inner.save_snapshot(stream, snapshot)
    }

    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>> {
        self.inner.load_snapshot(stream, fold_version)
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.writability.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.close()
    }
}
