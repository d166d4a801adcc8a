//! A store in memory whose log cannot be followed now and then, for what follows a log: the read side, and the metrics
//! (`api/tests/api` includes this file: it names nothing but `crate::engine`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::envelope::{Envelope, StreamId, StreamKind};
use crate::engine::id::{Position, Version};
use crate::engine::json::Hash;
use crate::engine::store::{
    Append, AppendError, Appended, EventStore, FirstWrite, MemoryStore, ReadError, Snapshot, StreamHead,
    StreamWatch, Subscription, Writability,
};
use crate::engine::time::Timestamp;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// A store whose subscriptions fail; all else is the store's own.
pub struct FailingLog {
    pub inner: MemoryStore,
    /// So many reads of a subscription fail.
    pub to_fail: Arc<AtomicUsize>,
    /// How.
    pub why: fn() -> ReadError,
}

impl EventStore for FailingLog {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.inner.append(append)
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        from: Version,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Envelope>, ReadError>> {
        self.inner.read(stream, from, limit)
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        self.inner.read_all(from, limit)
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<StreamHead>, ReadError>> {
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
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamHead)>, ReadError>> {
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
        let (inner, to_fail, why) = (self.inner.subscribe(from), Arc::clone(&self.to_fail), self.why);
        Box::new(FailingSubscription { inner, to_fail, why })
    }

    fn watch(&self, stream: &StreamId) -> StreamWatch {
        self.inner.watch(stream)
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
        self.inner.writability()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.close()
    }
}

/// The log as it is followed.
struct FailingSubscription {
    inner: Box<dyn Subscription>,
    to_fail: Arc<AtomicUsize>,
    why: fn() -> ReadError,
}

impl Subscription for FailingSubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let events = self.inner.next().await?;
            let less = |left: usize| left.checked_sub(1);
            match self.to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
                Ok(_) => Err((self.why)()),
                Err(_) => Ok(events),
            }
        })
    }
}
