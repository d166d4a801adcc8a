//! A store laid over one in memory: it is told of every append and every read, and may see to it that
//! they come late, fail, or are kept without a word.
//!
//! Law (D2) that it watches itself: a run has one append in flight.
//!
//! What is in its way: [`super::watched`] does what a test says, the simulation does what a seed says.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

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

/// What an append is made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is kept, and its acknowledgement is lost.
    Kept,
    /// It is not kept, and nobody can know.
    Dropped,
    /// The disk is full.
    Full,
}

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Events of one stream.
    Events(&'a StreamId),
    /// The end of one.
    Head(&'a StreamId),
    /// Something else that is stored.
    Other,
}

/// What stands between an engine and its store.
pub trait Between: Send + Sync + 'static {
    fn inner(&self) -> &MemoryStore;

    /// What becomes of an append.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// What comes before a read.
    fn read<'a>(&'a self, asked: Asked<'a>, from: Version) -> BoxFuture<'a, Result<(), ReadError>>;

    /// The log from a position on.
    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        self.inner().subscribe(from)
    }

    /// Whether appends are taken.
    fn writability(&self) -> watch::Receiver<Writability>;

    /// D2 does not hold.
    fn two_in_flight(&self, stream: &StreamId);
}

/// The store with something between.
pub struct Over<T> {
    between: T,
    in_flight: Mutex<HashSet<StreamId>>,
}

impl<T: Between> Over<T> {
    pub fn new(between: T) -> Arc<Self> {
        Arc::new(Self { between, in_flight: Mutex::default() })
    }
}

impl<T> Deref for Over<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.between
    }
}

/// Does to an append what a fault says; `keep` is what is done without one.
pub async fn strike(
    fault: Fault,
    keep: impl Future<Output = Result<Appended, AppendError>>,
) -> Result<Appended, AppendError> {
    match fault {
        Fault::Kept => {
            keep.await?;
            Err(AppendError::Unknown("the acknowledgement was lost".into()))
        }
        Fault::Dropped => Err(AppendError::Unknown("the disk went away".into())),
        Fault::Full => Err(AppendError::Full),
    }
}

/// The rest is the store's own.
macro_rules! after {
    ($self:ident, $inner:ident => $read:expr) => {
        Box::pin(async move {
            $self.between.read(Asked::Other, Version::ZERO).await?;
            let $inner = $self.between.inner();
            $read.await
        })
    };
}

impl<T: Between> EventStore for Over<T> {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let stream = append.stream.clone();
            let is_run = stream.kind == StreamKind::Run;
            if is_run && !self.in_flight.lock().unwrap().insert(stream.clone()) {
                self.between.two_in_flight(&stream);
            }
            let result = self.between.append(append).await;
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
        Box::pin(async move {
            self.between.read(Asked::Events(stream), from).await?;
            self.between.inner().read(stream, from, limit).await
        })
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        after!(self, inner => inner.read_all(from, limit))
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<Head>, ReadError>> {
        Box::pin(async move {
            self.between.read(Asked::Head(stream), Version::ZERO).await?;
            self.between.inner().head(stream).await
        })
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        after!(self, inner => inner.first_write(key))
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, Head)>, ReadError>> {
        after!(self, inner => inner.streams(kind, after, limit))
    }

    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>> {
        after!(self, inner => inner.due(until))
    }

    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        after!(self, inner => inner.next_wake())
    }

    fn last_position(&self) -> Position {
        self.between.inner().last_position()
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        self.between.subscribe(from)
    }

    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        after!(self, inner => inner.save_snapshot(stream, snapshot))
    }

    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>> {
        after!(self, inner => inner.load_snapshot(stream, fold_version))
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.between.writability()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>> {
        self.between.inner().close()
    }
}
