//! Brings committed appends into the index.
//!
//! Law: the position comes last, and applying a group again changes nothing: so an index that was
//! stopped inside a group is put right by applying that group again. Readers stop at the published
//! position and never look at a group that is being applied. (A batch of sled's own would be atomic,
//! but seals two of its buffers and wakes all of its threads each time: ten times the work.)
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

/// Changes that are applied together, in their order.
#[derive(Default)]
pub(crate) struct IndexBatch {
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl IndexBatch {
    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((key, Some(value)));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.changes.push((key, None));
    }

    /// The events of an append.
    pub(crate) fn put_events(&mut self, entry: &IndexEntry<'_>) {
        let place = BatchPlace { committed_at: entry.committed_at, first_position: entry.first_position };
        values::batch_chunks(&place, entry.record, |chunk, value| {
            self.insert(keys::batch(entry.stream, entry.first_version, chunk), value);
        });
    }

    /// The stream's new head; what its old note put into the lists of the busy and the waiting goes.
    ///
    /// The head comes last: while it is the old one, applying again finds the old note in it.
    pub(crate) fn put_head(&mut self, stream: &StreamId, before: Option<&StreamNote>, after: &HeadRecord) {
        let before = before.copied().unwrap_or_default();
        let (old, new) = (listed_wake(&before), listed_wake(&after.note));
        if !before.busy && after.note.busy {
            self.insert(keys::busy(stream), Vec::new());
        }
        if old != new {
            if let Some(at) = new {
                self.insert(keys::wake(at, stream), Vec::new());
            }
            if let Some(at) = old {
                self.remove(keys::wake(at, stream));
            }
        }
        if before.busy && !after.note.busy {
            self.remove(keys::busy(stream));
        }
        self.insert(keys::head(stream), values::encode_head(after));
    }

    /// The entry of an idempotent write.
    pub(crate) fn put_dedup(&mut self, key: &Hash, record: &DedupRecord) {
        self.insert(keys::dedup(key).to_vec(), values::encode_dedup(record));
        if record.keep == DedupKeep::Week {
            self.insert(keys::made(record.committed_at, key).to_vec(), Vec::new());
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
    /// Applies the changes of the positions `first` to `last`, in their order.
    pub(crate) fn apply(&self, batch: IndexBatch, first: Position, last: Position) -> Result<(), IndexError> {
        self.follows(first)?;
        self.change(batch.changes)?;
        self.reached(last)
    }

    /// The same for an index that is believed only when it is whole: sorted, by several threads.
    pub(crate) fn apply_unordered(
        &self,
        batch: IndexBatch,
        first: Position,
        last: Position,
    ) -> Result<(), IndexError> {
        self.follows(first)?;
        let mut changes = batch.changes;
        // Stable: of two changes of a key the later one stays the later one.
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut middle = changes.len() / 2;
        while middle > 0 && middle < changes.len() && changes[middle].0 == changes[middle - 1].0 {
            middle += 1;
        }
        let behind = changes.split_off(middle);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.change(behind));
            let one = self.change(changes);
            let other = other.join().unwrap_or_else(|_| Err(IndexError::new("a thread panicked")));
            one.and(other)
        })?;
        self.reached(last)
    }

    fn follows(&self, first: Position) -> Result<(), IndexError> {
        let held = self.held.load(Ordering::Acquire);
        if first.0 == held + 1 {
            Ok(())
        } else {
            Err(IndexError::new(format!("position {first} follows {held} in the index")))
        }
    }

    fn change(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        self.guarded(|db| {
            for (key, value) in changes {
                match value {
                    Some(value) => db.insert(key, value)?,
                    None => db.remove(key)?,
                };
            }
            Ok(())
        })
    }

    fn reached(&self, last: Position) -> Result<(), IndexError> {
        self.guarded(|db| Ok(db.insert(keys::POSITION, &last.0.to_le_bytes()).map(|_| ())?))?;
        self.held.store(last.0, Ordering::Release);
        Ok(())
    }

    /// Removes entries of idempotent writes that nobody may repeat any more.
    pub(crate) fn expire(&self, now: Timestamp) -> Result<(), IndexError> {
        self.guarded(|db| {
            for item in db.scan_prefix([keys::MADE]).keys().take(EXPIRED_AT_ONCE) {
                let age = item?;
                let Some((made_at, key)) = keys::made_of(&age) else { continue };
                if now.since(made_at) < DEDUP_KEPT {
                    break;
                }
                // The key may have been used again since; the newer entry stays.
                let entry = db.get(keys::dedup(&key))?.and_then(|value| values::decode_dedup(&value).ok());
                if entry.is_some_and(|entry| entry.committed_at == made_at) {
                    db.remove(keys::dedup(&key))?;
                }
                db.remove(age)?;
            }
            Ok(())
        })
    }
}
