//! A batch of events for one stream, and where it was recorded.
//!
//! Law: values alone; what they must satisfy is checked in `validate`.

use super::stream_head::StreamNote;
use everfold_base::envelope::{NewEvent, StreamId};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

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
    /// What the runtime wants to know of the stream at the next start, without folding it.
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

/// Where an append was recorded.
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
    /// Where it appended; [`Appended::repeated`] is set.
    pub appended: Appended,
}
