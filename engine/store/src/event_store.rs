//! The traits of an append-only store of event streams, and of a reader that follows it.
//!
//! Law: *acknowledged means durable on power loss*; an append is there as a whole or not at all; versions and positions
//! have no gaps; no reader sees an event before it is durable.
//!
//! Implemented by `SledStore` and `MemoryStore`.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::append::{Append, Appended, FirstWrite};
use super::error::{AppendError, ReadError};
use super::stream_head::{Snapshot, StreamHead};
use super::stream_watch::StreamWatch;
use super::writability::Writability;
use everfold_base::envelope::{Envelope, EventView, StreamId, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// An append-only store of event streams.
///
/// Reading methods never see an event before it is durable.
pub trait EventStore: Send + Sync + 'static {
    /// Appends a batch to one stream, all or nothing.
    ///
    /// Resolves once the data would survive power loss.
    ///
    /// # Errors
    /// See [`AppendError`]; after [`AppendError::Unknown`] the outcome is unknown: read the head
    /// before repeating.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Up to `limit` events of a stream from version `from` on.
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        from: Version,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Envelope>, ReadError>>;

    /// Up to `limit` events of the whole store from position `from` on.
    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>>;

    /// The end of a stream, or `None` where there is none.
    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<StreamHead>, ReadError>>;

    /// The ends of several streams, in their order; for thousands of them much less work than one by one.
    fn heads(&self, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Option<StreamHead>>, ReadError>> {
        Box::pin(async move {
            let mut heads = Vec::with_capacity(streams.len());
            for stream in &streams {
                heads.push(self.head(stream).await?);
            }
            Ok(heads)
        })
    }

    /// The write that was done under an idempotency key, while it is remembered. A writer need not ask:
    /// [`EventStore::append`] checks it. A caller that has nothing to append repeats its first answer.
    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>>;

    /// Up to `limit` streams of a kind with ids after `after`, in the order of their ids.
    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamHead)>, ReadError>>;

    /// The streams whose note says busy, and those with a timer up to `until`; what a start loads.
    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>>;

    /// The earliest timer of all streams that are not busy.
    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>>;

    /// The place of the last event; 0 in an empty store.
    fn last_position(&self) -> Position;

    /// Every event from position `from` on, each once, first the stored ones, then new ones as they
    /// become durable. A slow reader is served from the log, never dropped, never a brake.
    fn subscribe(&self, from: Position) -> Box<dyn Subscription>;

    /// Says when something is appended to a stream from here on. For who waits for one run: a subscription wakes its
    /// reader for every append of the store.
    fn watch(&self, stream: &StreamId) -> StreamWatch;

    /// Keeps a snapshot; not durable at once, and losing it loses nothing.
    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>>;

    /// The newest snapshot of a stream under a fold, if there is one.
    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>>;

    /// Whether appends are taken at this moment; a watch that changes with it.
    fn writability(&self) -> tokio::sync::watch::Receiver<Writability>;

    /// Writes everything out and lets go of the files. Appends after it fail.
    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>>;
}

/// A reader that follows the store.
pub trait Subscription: Send {
    /// The next events, at least one, in the order of their positions; waits for them.
    ///
    /// # Errors
    /// [`ReadError`] where the log is damaged; [`ReadError::Closed`] after the store's end.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>>;

    /// Bounds what [`Subscription::next`] gives at once, to a number of events and of bytes, which the last event may
    /// pass: for readers that keep what they were given while their own client is slow.
    fn give_at_most(&mut self, _events: usize, _bytes: usize) {}

    /// Shows the next events that are there already, some of them, where they lie. They are read by the thread that
    /// asks, which may have to wait for the disk. `false`: there are none yet, or they can only be had by
    /// [`Subscription::next`].
    ///
    /// # Errors
    /// As those of [`Subscription::next`]; what was shown before it is shown again.
    fn show(&mut self, _each: &mut dyn FnMut(&EventView<'_>)) -> Result<bool, ReadError> {
        Ok(false)
    }
}
