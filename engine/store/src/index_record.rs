//! What writers and index keep of a stream's end and of an idempotent write.
//!
//! Law: both follow from the append and the record before it alone, so that journal and index agree.

use std::time::Duration;

use super::append::{Append, Appended, Dedup, DedupKeep, Fence, FirstWrite};
use super::stream_head::{StreamHead, StreamNote};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// How long a [`DedupKeep::Week`] entry is kept.
pub const DEDUP_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The end of a stream as the writer needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadRecord {
    pub(crate) version: Version,
    pub(crate) hash: Hash,
    pub(crate) position: Position,
    pub(crate) note: StreamNote,
    pub(crate) fence: Option<Fence>,
}

impl HeadRecord {
    pub(crate) fn public(&self) -> StreamHead {
        StreamHead { version: self.version, hash: self.hash, position: self.position, note: self.note }
    }
}

/// Where an append with an idempotency key appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DedupRecord {
    pub(crate) body: Hash,
    pub(crate) keep: DedupKeep,
    pub(crate) first_version: Version,
    pub(crate) first_position: Position,
    pub(crate) count: u32,
    pub(crate) committed_at: Timestamp,
}

impl DedupRecord {
    pub(crate) fn new(dedup: &Dedup, appended: &Appended) -> Self {
        Self {
            body: dedup.body,
            keep: dedup.keep,
            first_version: appended.first_version,
            first_position: appended.first_position,
            count: appended.count,
            committed_at: appended.committed_at,
        }
    }

    /// Whether the entry still counts at `now`.
    pub(crate) fn is_kept(&self, now: Timestamp) -> bool {
        self.keep == DedupKeep::Stream || now.since(self.committed_at) < DEDUP_KEPT
    }

    /// The write as readers see it, if the entry still counts at `now`.
    pub(crate) fn public(&self, now: Timestamp) -> Option<FirstWrite> {
        self.is_kept(now).then(|| FirstWrite { body: self.body, appended: self.first_answer() })
    }

    pub(crate) fn first_answer(&self) -> Appended {
        Appended {
            first_version: self.first_version,
            first_position: self.first_position,
            count: self.count,
            committed_at: self.committed_at,
            repeated: true,
        }
    }
}

/// The stream's head after the append.
pub(crate) fn head_after(append: &Append, seen: Option<&HeadRecord>, appended: &Appended) -> HeadRecord {
    HeadRecord {
        version: appended.last_version(),
        hash: append.events.last().map_or(append.previous, |event| event.hash),
        position: appended.last_position(),
        note: append.note,
        fence: append.fence.max(seen.and_then(|head| head.fence)),
    }
}
