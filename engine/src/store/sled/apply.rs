//! Brings committed appends into the index.
//!
//! Law: one batch of the tree per group, with the position in it: the index holds a group wholly or
//! not at all. Applying a group again changes nothing.
//!
//! Called by the store's applier after the group's sync, and by the rebuild.

use std::sync::atomic::Ordering;

use super::keys;
use super::values::{self, BatchPlace};
use super::{Index, IndexError};
use crate::envelope::StreamId;
use crate::id::{Position, Version};
use crate::json::Hash;
use crate::store::judge::{DEDUP_KEPT, DedupRecord, HeadRecord};
use crate::store::{DedupKeep, StreamNote};
use crate::time::Timestamp;

/// One append on its way into the index.
pub(crate) struct IndexEntry<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) first_version: Version,
    pub(crate) first_position: Position,
    pub(crate) committed_at: Timestamp,
    pub(crate) record: &'a [u8],
}

/// Changes that are applied together.
#[derive(Default)]
pub(crate) struct IndexBatch {
    batch: ::sled::Batch,
}

impl IndexBatch {
    /// The events of an append.
    pub(crate) fn put_events(&mut self, entry: &IndexEntry<'_>) {
        let place = BatchPlace { committed_at: entry.committed_at, first_position: entry.first_position };
        values::batch_chunks(&place, entry.record, |chunk, value| {
            self.batch.insert(keys::batch(entry.stream, entry.first_version, chunk), value);
        });
    }

    /// The stream's new head; what its old note put into the lists of the busy and the waiting goes.
    pub(crate) fn put_head(&mut self, stream: &StreamId, before: Option<&StreamNote>, after: &HeadRecord) {
        self.batch.insert(keys::head(stream), values::encode_head(after));
        let before = before.copied().unwrap_or_default();
        if before.busy != after.note.busy {
            if after.note.busy {
                self.batch.insert(keys::busy(stream), &[]);
            } else {
                self.batch.remove(keys::busy(stream));
            }
        }
        let (old, new) = (listed_wake(&before), listed_wake(&after.note));
        if old != new {
            if let Some(at) = old {
                self.batch.remove(keys::wake(at, stream));
            }
            if let Some(at) = new {
                self.batch.insert(keys::wake(at, stream), &[]);
            }
        }
    }

    /// The entry of an idempotent write.
    pub(crate) fn put_dedup(&mut self, key: &Hash, record: &DedupRecord) {
        self.batch.insert(keys::dedup(key).as_slice(), values::encode_dedup(record));
        if record.keep == DedupKeep::Week {
            self.batch.insert(keys::made(record.committed_at, key).as_slice(), &[]);
        }
    }
}

/// A busy stream is loaded at start anyway, so its timer is not listed.
fn listed_wake(note: &StreamNote) -> Option<Timestamp> {
    if note.busy { None } else { note.wake_at }
}

/// How many expired entries one call removes at most.
const EXPIRED_AT_ONCE: usize = 10_000;

impl Index {
    /// Applies the changes of the positions `first` to `last`, all or none.
    pub(crate) fn apply(
        &self,
        mut batch: IndexBatch,
        first: Position,
        last: Position,
    ) -> Result<(), IndexError> {
        let held = self.held.load(Ordering::Acquire);
        if first.0 != held + 1 {
            return Err(IndexError(format!("position {first} follows {held} in the index")));
        }
        batch.batch.insert(keys::POSITION, &last.0.to_le_bytes());
        self.guarded(|db| db.apply_batch(batch.batch).map_err(IndexError::from))?;
        self.held.store(last.0, Ordering::Release);
        Ok(())
    }

    /// Removes entries of idempotent writes that nobody may repeat any more.
    pub(crate) fn expire(&self, now: Timestamp) -> Result<(), IndexError> {
        self.guarded(|db| {
            let mut batch = ::sled::Batch::default();
            let mut some = false;
            for item in db.scan_prefix([keys::MADE]).keys().take(EXPIRED_AT_ONCE) {
                let age = item?;
                let Some((made_at, key)) = keys::made_of(&age) else { continue };
                if now.since(made_at) < DEDUP_KEPT {
                    break;
                }
                // The key may have been used again since; the newer entry stays.
                let entry = db.get(keys::dedup(&key))?.and_then(|value| values::decode_dedup(&value).ok());
                if entry.is_some_and(|entry| entry.committed_at == made_at) {
                    batch.remove(keys::dedup(&key).as_slice());
                }
                batch.remove(age);
                some = true;
            }
            if some { db.apply_batch(batch).map_err(IndexError::from) } else { Ok(()) }
        })
    }
}
