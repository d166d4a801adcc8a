//! Where events are kept.
//!
//! Law: *acknowledged means durable on power loss*; an append is there as a whole or not at all;
//! versions and positions have no gaps. What the bytes of an event mean is not known here.
//!
//! Called by the driver, which is the only writer of streams, and by everything that reads.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::envelope::{Envelope, EventView, NewEvent, StreamId, StreamKind};
use crate::id::{Position, Version};
use crate::json::Hash;
use crate::time::Timestamp;

mod applier;
mod backlog;
pub mod bench;
pub mod blob;
mod commit;
mod error;
pub mod files;
mod follow;
mod gate;
pub mod info;
mod journal;
mod judge;
mod keeper;
mod lock;
mod mark;
mod memory;
mod observe;
mod open;
mod recent;
mod record;
mod renew;
pub mod repair;
mod reserve;
mod shared;
mod sled;
mod sled_store;
pub mod verify;

pub use blob::{BlobError, BlobStore};
pub use error::{AppendError, Damage, OpenError, ReadError};
pub use journal::segment::SegmentSizes;
pub use judge::{ACTOR_BYTES_MAX, DEDUP_KEPT};
pub use mark::STORE_FORMAT;
pub use memory::MemoryStore;
pub use observe::{Flushed, StoreObserver, Unobserved};
pub use reserve::{is_disk_full, is_shortage};
pub use sled_store::{IndexOpened, OpenReport, SledOptions, SledStore};

/// Most events in one append.
pub const APPEND_EVENTS_MAX: usize = 1_000;
/// Most payload bytes in one append.
pub const APPEND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A batch for one stream.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The stream's last version as the writer believes it; 0 for a new stream.
    pub expected: Version,
    /// The hash of that last event; [`Hash::ZERO`] for a new stream.
    pub previous: Hash,
    /// 1 to [`APPEND_EVENTS_MAX`] events with versions `expected + 1, …`.
    pub events: Vec<NewEvent>,
    /// Recognises a repeated write.
    pub dedup: Option<Dedup>,
    /// Refuses a writer that has lost its ownership.
    pub fence: Option<Fence>,
    /// What the driver wants to know of the stream at the next start, without folding it.
    pub note: StreamNote,
}

/// Recognises a repeated write: `key` = hash(actor, route, idempotency key).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// Who did what under which key.
    pub key: Hash,
    /// What was asked; the same key with another body is refused.
    pub body: Hash,
    /// How long the entry is kept.
    pub keep: DedupKeep,
}

/// How long a [`Dedup`] entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupKeep {
    /// 7 days.
    Week,
    /// As long as the stream: the write started it.
    Stream,
}

/// A token of ownership; only grows. A store refuses an append with an older one than it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// What the driver leaves beside a stream's head, so that a start reads what needs it and no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamNote {
    /// The stream has not ended.
    pub open: bool,
    /// Something is to be started or stopped: the stream is loaded at start.
    pub busy: bool,
    /// The earliest timer.
    pub wake_at: Option<Timestamp>,
}

/// Where an append went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The first event's version.
    pub first_version: Version,
    /// The first event's position.
    pub first_position: Position,
    /// The number of events.
    pub count: u32,
    /// When the group was made durable.
    pub committed_at: Timestamp,
    /// The write had been done before under the same [`Dedup`]; this is where it went then.
    pub repeated: bool,
}

impl Appended {
    /// The last event's version.
    #[must_use]
    pub fn last_version(&self) -> Version {
        Version(self.first_version.0 + u64::from(self.count) - 1)
    }

    /// The last event's position.
    #[must_use]
    pub fn last_position(&self) -> Position {
        Position(self.first_position.0 + u64::from(self.count) - 1)
    }
}

/// A write that is remembered by its [`Dedup`] key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstWrite {
    /// The hash of its body: another body under the key is a conflict.
    pub body: Hash,
    /// Where it went; [`Appended::repeated`] is set.
    pub appended: Appended,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last event's version.
    pub version: Version,
    /// The last event's hash.
    pub hash: Hash,
    /// The last event's position.
    pub position: Position,
    /// The driver's note of the last append.
    pub note: StreamNote,
}

/// A folded state, kept so that a load need not start at version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last version that the state holds.
    pub version: Version,
    /// The hash of that event: a snapshot of another history is not used.
    pub hash: Hash,
    /// The fold that made it; another fold's snapshot is not used.
    pub fold_version: u32,
    /// The state's bytes.
    pub bytes: Vec<u8>,
}

/// Whether the store takes appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writability {
    /// It does.
    Writable,
    /// The disk is full; ends by itself when there is room again.
    Full,
    /// It does not for now, for the reason given; reading goes on.
    ReadOnly(String),
    /// The folder is not this process's any more; it never takes appends again.
    NotOurs(String),
}

/// How far a long piece of work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The index is being built from the journal.
    Index {
        /// The last position that is in.
        done: Position,
        /// The last position of the journal.
        of: Position,
    },
    /// The journal is being verified.
    Verify {
        /// The last position that was looked at.
        done: Position,
        /// The last position, as far as it is known.
        of: Position,
    },
}

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
    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<Head>, ReadError>>;

    /// The ends of several streams, in their order; for thousands of them much less work than one by one.
    fn heads(&self, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Option<Head>>, ReadError>> {
        Box::pin(async move {
            let mut heads = Vec::with_capacity(streams.len());
            for stream in &streams {
                heads.push(self.head(stream).await?);
            }
            Ok(heads)
        })
    }

    /// The write that was done under an idempotency key, while it is remembered. A writer need not ask:
    /// [`EventStore::append`] judges by it. Who has nothing to append gives its answer once more.
    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>>;

    /// Up to `limit` streams of a kind with ids after `after`, in the order of their ids.
    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, Head)>, ReadError>>;

    /// The streams whose note says busy, and those with a timer up to `until`; what a start loads.
    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>>;

    /// The earliest timer of all streams that are not busy.
    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>>;

    /// The place of the last event; 0 in an empty store.
    fn last_position(&self) -> Position;

    /// Every event from position `from` on, each once, first the stored ones, then new ones as they
    /// become durable. A slow reader is served from the log, never dropped, never a brake.
    fn subscribe(&self, from: Position) -> Box<dyn Subscription>;

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
