//! What a read model reads and writes: its own keys, with what changed since the last checkpoint on top.
//!
//! Law: readers see what was put at once; the shelf gets it with the checkpoint's position in one batch, or
//! ahead of it what is the same whenever it is folded again and says nothing before the rest is there.
//!
//! Given to [`crate::Projection`]s by the runner.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::shelf::{Changes, Checkpoint, Pair, Shelf, ShelfError};

struct Slot {
    /// Empty: the key is not there.
    value: Vec<u8>,
    changed: bool,
    ahead: bool,
}

/// A read model's keys and values.
///
/// An empty value is none: such a key is not there.
pub struct Tx {
    shelf: Arc<Shelf>,
    /// In front of every key; each generation of a model has its own.
    prefix: [u8; 4],
    held: BTreeMap<Vec<u8>, Slot>,
    /// Changes that need not be read here again: whoever made them holds the value.
    through: Changes,
    /// The same, ahead of the batch.
    through_ahead: Vec<Pair>,
    changed: usize,
}

impl Tx {
    pub(crate) fn new(shelf: Arc<Shelf>, prefix: [u8; 4]) -> Self {
        Self {
            shelf,
            prefix,
            held: BTreeMap::new(),
            through: Vec::new(),
            through_ahead: Vec::new(),
            changed: 0,
        }
    }

    /// A read model's keys in memory alone, for tests and measurements.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Arc::new(Shelf::memory()), [0; 4])
    }

    pub(crate) fn prefix(&self) -> [u8; 4] {
        self.prefix
    }

    fn full(&self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::with_capacity(4 + key.len());
        full.extend_from_slice(&self.prefix);
        full.extend_from_slice(key);
        full
    }

    /// One value.
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ShelfError> {
        let full = self.full(key);
        match self.held.get(&full) {
            Some(slot) => Ok((!slot.value.is_empty()).then_some(Cow::Borrowed(slot.value.as_slice()))),
            None => Ok(self.shelf.get(&full)?.map(Cow::Owned)),
        }
    }

    /// A value to be changed in place; empty where there is none.
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn entry(&mut self, key: &[u8]) -> Result<&mut Vec<u8>, ShelfError> {
        self.slot(key, false)
    }

    /// The same for a value that goes into the shelf ahead of the checkpoint: one that only grows, by what is
    /// looked at only where the checkpoint counts it.
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn entry_ahead(&mut self, key: &[u8]) -> Result<&mut Vec<u8>, ShelfError> {
        self.slot(key, true)
    }

    fn slot(&mut self, key: &[u8], ahead: bool) -> Result<&mut Vec<u8>, ShelfError> {
        let slot = match self.held.entry(self.full(key)) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(place) => {
                let value = self.shelf.get(place.key())?.unwrap_or_default();
                place.insert(Slot { value, changed: false, ahead })
            }
        };
        if !slot.changed {
            slot.changed = true;
            self.changed += 1;
        }
        Ok(&mut slot.value)
    }

    /// Replaces a value.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        let full = self.full(key);
        let slot = Slot { value, changed: true, ahead: false };
        if self.held.insert(full, slot).is_none_or(|slot| !slot.changed) {
            self.changed += 1;
        }
    }

    /// Replaces a value that the caller keeps in memory until the next checkpoint is written.
    pub fn put_through(&mut self, key: &[u8], value: Vec<u8>) {
        let full = self.full(key);
        self.through.push((full, (!value.is_empty()).then_some(value)));
    }

    /// The same, ahead of the checkpoint's batch.
    pub fn put_through_ahead(&mut self, key: &[u8], value: Vec<u8>) {
        let full = self.full(key);
        self.through_ahead.push((full, value));
    }

    /// Up to `limit` pairs with keys from `from` and before `to`, in their order or the other way round.
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn scan(&self, from: &[u8], to: &[u8], reverse: bool, limit: usize) -> Result<Vec<Pair>, ShelfError> {
        let (mut from, mut to) = (self.full(from), self.full(to));
        let mut found: Vec<Pair> = Vec::new();
        while found.len() < limit && from < to {
            let wanted = limit - found.len();
            let stored = self.shelf.scan(&from, &to, reverse, wanted)?;
            let is_last = stored.len() < wanted;
            // What is held counts up to where the stored ones reach.
            let (low, high) = match stored.last() {
                Some((key, _)) if !is_last && reverse => (key.clone(), to.clone()),
                Some((key, _)) if !is_last => (from.clone(), after(key)),
                _ => (from.clone(), to.clone()),
            };
            let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
            for (key, slot) in self.held.range(low.clone()..high.clone()) {
                if slot.value.is_empty() {
                    merged.remove(key);
                } else {
                    merged.insert(key.clone(), slot.value.clone());
                }
            }
            let pairs = merged.into_iter().map(|(key, value)| (key[4..].to_vec(), value));
            if reverse {
                found.extend(pairs.rev());
                to = low;
            } else {
                found.extend(pairs);
                from = high;
            }
            if is_last {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// How much a checkpoint would write.
    pub(crate) fn changed(&self) -> usize {
        self.changed + self.through.len() + self.through_ahead.len()
    }

    /// Hands over what changed since the last time.
    pub(crate) fn drain(&mut self) -> Checkpoint {
        let mut ahead = std::mem::take(&mut self.through_ahead);
        let mut batch = std::mem::take(&mut self.through);
        for (key, slot) in self.held.iter_mut().filter(|(_, slot)| slot.changed) {
            slot.changed = false;
            let value = (!slot.value.is_empty()).then(|| slot.value.clone());
            match value {
                Some(value) if slot.ahead => ahead.push((key.clone(), value)),
                value => batch.push((key.clone(), value)),
            }
        }
        ahead.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.changed = 0;
        Checkpoint { ahead, batch }
    }

    /// Forgets what the shelf has, where more than `keep` values are held.
    pub(crate) fn trim(&mut self, keep: usize) {
        if self.held.len() > keep {
            self.held.retain(|_, slot| slot.changed);
        }
    }
}

#[cfg(test)]
impl Tx {
    /// What a checkpoint does.
    pub(crate) fn write_through(&mut self) {
        let checkpoint = self.drain();
        self.shelf.put_away(&checkpoint).expect("it is in memory");
        self.trim(0);
    }
}

/// The first key behind all that begin with this one's bytes and nothing more.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn a_scan_sees_the_stored_and_the_changed_in_one_order() {
        let mut tx = Tx::in_memory();
        for key in [1_u8, 3, 5, 7] {
            tx.put(&[key], vec![key]);
        }
        tx.write_through();
        tx.put(&[2], vec![20]);
        tx.put(&[5], Vec::new());
        tx.put(&[7], vec![70]);
        let keys = |reverse, limit| -> Vec<u8> {
            tx.scan(&[0], &[9], reverse, limit).unwrap().iter().map(|(key, _)| key[0]).collect()
        };
        assert_eq!(keys(false, 10), [1, 2, 3, 7]);
        assert_eq!(keys(true, 10), [7, 3, 2, 1]);
        assert_eq!(keys(false, 2), [1, 2]);
        assert_eq!(keys(true, 2), [7, 3]);
        assert_eq!(keys(true, 1), [7]);
        assert_eq!(keys(false, 3), [1, 2, 3]);
    }
}
