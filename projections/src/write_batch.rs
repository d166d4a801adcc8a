//! What a read model reads and writes: its own keys, with what changed since the last checkpoint on top.
//!
//! Law: the fold works on values of its own. The result of a batch of facts is published at once, and stored with the
//! checkpoint's position in one batch. Only a value that is the same whenever it is folded again, and that is not
//! read before the rest is stored, may be written ahead of that batch.
//!
//! [`crate::model`] hands it to each [`crate::Projection`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use everfold_base::id::Position;
use foldhash::fast::RandomState;

use crate::snapshot::{KeyReader, PublishedValues, Updates};
use crate::storage::{Checkpoint, Storage, StorageError, StorageKey, StorageValue};

/// A value that is held in memory.
struct Slot {
    /// The key in `held`, shared so that it is not copied.
    key: StorageKey,
    /// Empty: the key is not there.
    value: StorageValue,
    /// The next checkpoint puts it.
    changed: bool,
    /// It is not published yet.
    unseen: bool,
    /// It may be stored ahead of the checkpoint's batch.
    ahead: bool,
}

/// A read model's keys and values.
///
/// An empty value is none: such a key is not there.
pub struct WriteBatch {
    storage: Arc<Storage>,
    published: Arc<PublishedValues>,
    /// In front of every key; each generation of a model has its own.
    prefix: [u8; 4],
    held: HashMap<StorageKey, Slot, RandomState>,
    /// Keys whose values are not published yet.
    unseen: Vec<StorageKey>,
    /// Values that are shown and not held.
    updates: Updates,
    /// Values for the next checkpoint that are not held here: the model that put them caches what they say.
    through: Vec<(StorageKey, StorageValue)>,
    /// The same, ahead of the batch.
    through_ahead: Vec<(StorageKey, StorageValue)>,
    changed: usize,
    /// Buffer for the key that is looked up.
    wanted: Vec<u8>,
}

impl KeyReader for WriteBatch {
    fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StorageError> {
        let full = self.full(key);
        match self.held.get(&*full) {
            Some(slot) => Ok((!slot.value.is_empty()).then_some(Cow::Borrowed(slot.value.as_slice()))),
            None => Ok(self.storage.get(&full)?.map(Cow::Owned)),
        }
    }
}

impl WriteBatch {
    pub(crate) fn new(storage: Arc<Storage>, prefix: [u8; 4], position: Position) -> Self {
        Self {
            published: Arc::new(PublishedValues::new(Arc::clone(&storage), prefix, position)),
            storage,
            prefix,
            held: HashMap::default(),
            unseen: Vec::new(),
            updates: Vec::new(),
            through: Vec::new(),
            through_ahead: Vec::new(),
            changed: 0,
            wanted: Vec::new(),
        }
    }

    /// An empty one in memory.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(Storage::memory()), [0; 4], Position::ZERO)
    }

    pub(crate) fn prefix(&self) -> [u8; 4] {
        self.prefix
    }

    /// What readers see of it.
    pub(crate) fn published(&self) -> &Arc<PublishedValues> {
        &self.published
    }

    fn full(&self, key: &[u8]) -> StorageKey {
        self.prefix.iter().chain(key).copied().collect()
    }

    /// One value.
    ///
    /// # Errors
    /// The storage cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StorageError> {
        KeyReader::get(self, key)
    }

    /// A value to be changed in place; empty where there is none.
    ///
    /// # Errors
    /// The storage cannot be read.
    pub fn entry(&mut self, key: &[u8]) -> Result<&mut Vec<u8>, StorageError> {
        self.slot(key, false)
    }

    /// The same for a value that goes into the storage ahead of the checkpoint: one that only grows, by what is
    /// read only where the checkpoint counts it.
    ///
    /// # Errors
    /// The storage cannot be read.
    pub fn entry_ahead(&mut self, key: &[u8]) -> Result<&mut Vec<u8>, StorageError> {
        self.slot(key, true)
    }

    fn slot(&mut self, key: &[u8], ahead: bool) -> Result<&mut Vec<u8>, StorageError> {
        self.wanted.clear();
        self.wanted.extend_from_slice(&self.prefix);
        self.wanted.extend_from_slice(key);
        let wanted = self.wanted.as_slice();
        if !self.held.contains_key(wanted) {
            let (key, value) =
                (StorageKey::from(wanted), Arc::new(self.storage.get(wanted)?.unwrap_or_default()));
            let slot = Slot { key: Arc::clone(&key), value, changed: false, unseen: false, ahead };
            self.held.insert(key, slot);
        }
        let slot = self.held.get_mut(wanted).expect("it is held, or was put there just now");
        if !std::mem::replace(&mut slot.unseen, true) {
            self.unseen.push(Arc::clone(&slot.key));
        }
        if !std::mem::replace(&mut slot.changed, true) {
            self.changed += 1;
        }
        // Copies once what is published.
        Ok(Arc::make_mut(&mut slot.value))
    }

    /// Replaces a value.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        let full = self.full(key);
        self.unseen.push(Arc::clone(&full));
        let (key, value) = (Arc::clone(&full), Arc::new(value));
        let slot = Slot { key, value, changed: true, unseen: true, ahead: false };
        if self.held.insert(full, slot).is_none_or(|slot| !slot.changed) {
            self.changed += 1;
        }
    }

    /// Publishes a value that the fold has in another form and that is stored later.
    pub(crate) fn show(&mut self, key: &[u8], value: StorageValue) {
        self.updates.push((self.full(key), value));
    }

    /// Adds a value to the next checkpoint; the caller keeps it until that is written.
    pub(crate) fn put_through(&mut self, key: &[u8], value: StorageValue) {
        self.through.push((self.full(key), value));
    }

    /// The same, ahead of the checkpoint's batch.
    pub(crate) fn put_through_ahead(&mut self, key: &[u8], value: Vec<u8>) {
        self.through_ahead.push((self.full(key), Arc::new(value)));
    }

    /// Publishes everything, as of a position.
    pub(crate) fn publish(&mut self, position: Position) {
        for key in self.unseen.drain(..) {
            if let Some(slot) = self.held.get_mut(&key)
                && std::mem::take(&mut slot.unseen)
            {
                self.updates.push((key, Arc::clone(&slot.value)));
            }
        }
        self.published.publish(std::mem::take(&mut self.updates), position);
    }

    /// How much a checkpoint would write.
    pub(crate) fn changed(&self) -> usize {
        self.changed + self.through.len() + self.through_ahead.len()
    }

    /// Takes what changed since the last checkpoint.
    pub(crate) fn drain(&mut self) -> Checkpoint {
        let mut ahead = std::mem::take(&mut self.through_ahead);
        let mut batch = std::mem::take(&mut self.through);
        for (key, slot) in self.held.iter_mut().filter(|(_, slot)| slot.changed) {
            slot.changed = false;
            let part = if slot.ahead && !slot.value.is_empty() { &mut ahead } else { &mut batch };
            part.push((key.clone(), Arc::clone(&slot.value)));
        }
        ahead.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.changed = 0;
        self.published.hand_over();
        Checkpoint { ahead, batch }
    }

    /// What was drained is stored, and readers find it there. Drops it where more than `keep` values are held.
    pub(crate) fn settled(&mut self, keep: usize) {
        self.published.settled();
        if self.held.len() > keep {
            self.held.retain(|_, slot| slot.changed || slot.unseen);
        }
    }
}

#[cfg(test)]
impl WriteBatch {
    /// What a checkpoint does.
    pub(crate) fn write_through(&mut self) {
        let checkpoint = self.drain();
        self.storage.write_checkpoint(&checkpoint).expect("it is in memory");
        self.settled(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn what_is_being_written_lies_between_the_shelf_and_what_was_shown_since() {
        let storage = Arc::new(Storage::memory());
        let mut batch = WriteBatch::new(Arc::clone(&storage), [0; 4], Position::ZERO);
        for key in [1_u8, 2, 3] {
            batch.put(&[key], vec![key]);
        }
        batch.publish(Position(1));
        let checkpoint = batch.drain();
        batch.put(&[2], vec![20]);
        batch.put(&[3], Vec::new());
        batch.publish(Position(2));
        let published = Arc::clone(batch.published());
        let shown = || {
            let snapshot = published.snapshot();
            let got = [1, 2, 3].map(|key: u8| snapshot.get(&[key]).unwrap().map(|value| value[0]));
            let all = snapshot.scan(&[0], &[9], false, 10).unwrap();
            (got, all.iter().map(|(_, value)| value[0]).collect::<Vec<_>>())
        };
        let wanted = ([Some(1), Some(20), None], vec![1, 20]);
        assert_eq!(shown(), wanted, "nothing is in the storage");
        storage.write_ahead(&checkpoint).unwrap();
        assert_eq!(shown(), wanted, "a part is");
        storage.write_checkpoint(&checkpoint).unwrap();
        assert_eq!(shown(), wanted, "all of it is");
        batch.settled(0);
        assert_eq!(shown(), wanted, "and is looked for there");
    }

    #[test]
    fn a_scan_sees_the_stored_and_the_changed_in_one_order() {
        let storage = Arc::new(Storage::memory());
        let mut batch = WriteBatch::new(Arc::clone(&storage), [0; 4], Position::ZERO);
        for key in [1_u8, 3, 5, 7] {
            batch.put(&[key], vec![key]);
        }
        batch.publish(Position(1));
        storage.write_checkpoint(&batch.drain()).unwrap();
        batch.settled(0);
        batch.put(&[2], vec![20]);
        batch.put(&[5], Vec::new());
        batch.put(&[7], vec![70]);
        assert_eq!(batch.published().snapshot().get(&[2]).unwrap(), None, "it is not shown yet");
        batch.publish(Position(2));
        let snapshot = batch.published().snapshot();
        assert_eq!((snapshot.position(), snapshot.get(&[5]).unwrap()), (Position(2), None));
        let keys = |reverse, limit| -> Vec<u8> {
            snapshot.scan(&[0], &[9], reverse, limit).unwrap().iter().map(|(key, _)| key[0]).collect()
        };
        assert_eq!(keys(false, 10), [1, 2, 3, 7]);
        assert_eq!(keys(true, 10), [7, 3, 2, 1]);
        assert_eq!(keys(false, 2), [1, 2]);
        assert_eq!(keys(true, 2), [7, 3]);
        assert_eq!(keys(true, 1), [7]);
        assert_eq!(keys(false, 3), [1, 2, 3]);
    }
}
