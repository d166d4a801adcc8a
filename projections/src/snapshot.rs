//! What readers read of a read model: the values that it published last, on top of the storage.
//!
//! Law: a snapshot is of one position. A snapshot and a publication exclude each other; readers and the fold wait for
//! each other no longer than that.
//!
//! Filled by [`crate::write_batch`], read through the views of the models.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use everfold_base::id::Position;

use crate::storage::{Storage, StorageError, StorageKey, StorageValue, StoredPair};

/// Keys with the values that they have from now on; an empty value removes the key.
pub(crate) type Updates = Vec<(StorageKey, StorageValue)>;

/// Reads values by key.
pub(crate) trait KeyReader {
    /// One value.
    fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StorageError>;
}

struct Layers {
    /// Published since the last checkpoint was taken.
    above: BTreeMap<StorageKey, StorageValue>,
    /// In the checkpoint that is being written; older than `above`.
    being_written: BTreeMap<StorageKey, StorageValue>,
    position: Position,
}

impl Layers {
    /// The value of a key that the storage does not have yet.
    fn get(&self, key: &[u8]) -> Option<&StorageValue> {
        self.above.get(key).or_else(|| self.being_written.get(key))
    }
}

/// The published values of a read model.
pub(crate) struct PublishedValues {
    storage: Arc<Storage>,
    prefix: [u8; 4],
    state: RwLock<Layers>,
}

impl PublishedValues {
    pub(crate) fn new(storage: Arc<Storage>, prefix: [u8; 4], position: Position) -> Self {
        let state = Layers { above: BTreeMap::new(), being_written: BTreeMap::new(), position };
        Self { storage, prefix, state: RwLock::new(state) }
    }

    /// Takes a snapshot. Nothing is published while it is held.
    pub(crate) fn snapshot(&self) -> ReadSnapshot<'_> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        ReadSnapshot { storage: &self.storage, prefix: self.prefix, state }
    }

    pub(crate) fn publish(&self, updates: Updates, position: Position) {
        let mut former = Vec::with_capacity(updates.len());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in updates {
            former.extend(state.above.insert(key, value));
        }
        state.position = position;
        drop(state);
        // Freed after the lock is released.
        drop(former);
    }

    /// A checkpoint has taken everything, and is being written.
    pub(crate) fn hand_over(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Layers { above, being_written, .. } = &mut *state;
        if being_written.is_empty() {
            std::mem::swap(above, being_written)
        } else {
            being_written.append(above)
        }
    }

    /// That checkpoint is written.
    pub(crate) fn settled(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let gone = std::mem::take(&mut state.being_written);
        drop(state);
        drop(gone);
    }
}

/// The published values of a read model at one position.
pub(crate) struct ReadSnapshot<'a> {
    storage: &'a Storage,
    prefix: [u8; 4],
    state: RwLockReadGuard<'a, Layers>,
}

impl KeyReader for ReadSnapshot<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StorageError> {
        let full = self.full(key);
        match self.state.get(&full) {
            Some(value) => Ok((!value.is_empty()).then_some(Cow::Borrowed(value.as_slice()))),
            None => Ok(self.storage.get(&full)?.map(Cow::Owned)),
        }
    }
}

impl ReadSnapshot<'_> {
    /// The last event that is folded.
    pub(crate) fn position(&self) -> Position {
        self.state.position
    }

    fn full(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    /// Up to `limit` pairs with keys from `from` and before `to`, in their order or the other way round.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<StoredPair>, StorageError> {
        let (mut from, mut to) = (self.full(from), self.full(to));
        let mut found: Vec<StoredPair> = Vec::new();
        while found.len() < limit && from < to {
            let wanted = limit - found.len();
            let stored = self.storage.scan(&from, &to, reverse, wanted)?;
            let is_last = stored.len() < wanted;
            // What stands above counts up to where the stored ones reach.
            let (low, high) = match stored.last() {
                Some((key, _)) if !is_last && reverse => (key.clone(), to.clone()),
                Some((key, _)) if !is_last => (from.clone(), after(key)),
                _ => (from.clone(), to.clone()),
            };
            let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
            let between = (Bound::Included(low.as_slice()), Bound::Excluded(high.as_slice()));
            for layer in [&self.state.being_written, &self.state.above] {
                for (key, value) in layer.range::<[u8], _>(between) {
                    if value.is_empty() {
                        merged.remove(&**key);
                    } else {
                        merged.insert(key.to_vec(), value.to_vec());
                    }
                }
            }
            let pairs = merged.into_iter().map(|(mut key, value)| {
                key.drain(..self.prefix.len());
                (key, value)
            });
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
}

/// The first key behind all that begin with this one's bytes and nothing more.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}
