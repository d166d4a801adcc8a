//! What a read model writes: its own keys, with what changed since the last checkpoint on top.
//!
//! Law: the fold works on values of its own. What it made of some facts is shown to readers at once, and the
//! shelf gets it with the checkpoint's position in one batch, or ahead of it what is the same whenever it is
//! folded again and says nothing before the rest is there.
//!
//! Given to [`crate::Projection`]s by the runner.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use everfold_engine::id::Position;
use foldhash::fast::RandomState;

use crate::look::{Keys, News, Seen};
use crate::shelf::{Checkpoint, Key, Shelf, ShelfError, Value};

struct Slot {
    /// Where it is held, to be handed on without a copy.
    key: Key,
    /// Empty: the key is not there.
    value: Value,
    /// The next checkpoint puts it.
    changed: bool,
    /// Readers do not see it yet.
    unseen: bool,
    ahead: bool,
}

/// A read model's keys and values.
///
/// An empty value is none: such a key is not there.
pub struct Tx {
    shelf: Arc<Shelf>,
    seen: Arc<Seen>,
    /// In front of every key; each generation of a model has its own.
    prefix: [u8; 4],
    held: HashMap<Key, Slot, RandomState>,
    /// Keys whose values readers do not see yet.
    unseen: Vec<Key>,
    /// Values that are shown and not held.
    news: News,
    /// Values for the next checkpoint that are not held: whoever made them keeps what they say.
    through: Vec<(Key, Value)>,
    /// The same, ahead of the batch.
    through_ahead: Vec<(Key, Value)>,
    changed: usize,
    /// Room for the key that is looked up.
    wanted: Vec<u8>,
}

impl Keys for Tx {
    fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ShelfError> {
        let full = self.full(key);
        match self.held.get(&*full) {
            Some(slot) => Ok((!slot.value.is_empty()).then_some(Cow::Borrowed(slot.value.as_slice()))),
            None => Ok(self.shelf.get(&full)?.map(Cow::Owned)),
        }
    }
}

impl Tx {
    pub(crate) fn new(shelf: Arc<Shelf>, prefix: [u8; 4], position: Position) -> Self {
        Self {
            seen: Arc::new(Seen::new(Arc::clone(&shelf), prefix, position)),
            shelf,
            prefix,
            held: HashMap::default(),
            unseen: Vec::new(),
            news: Vec::new(),
            through: Vec::new(),
            through_ahead: Vec::new(),
            changed: 0,
            wanted: Vec::new(),
        }
    }

    /// Keys in memory alone.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(Shelf::memory()), [0; 4], Position::ZERO)
    }

    pub(crate) fn prefix(&self) -> [u8; 4] {
        self.prefix
    }

    /// What readers see of it.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    fn full(&self, key: &[u8]) -> Key {
        self.prefix.iter().chain(key).copied().collect()
    }

    /// One value.
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ShelfError> {
        Keys::get(self, key)
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
        self.wanted.clear();
        self.wanted.extend_from_slice(&self.prefix);
        self.wanted.extend_from_slice(key);
        let wanted = self.wanted.as_slice();
        if !self.held.contains_key(wanted) {
            let (key, value) = (Key::from(wanted), Arc::new(self.shelf.get(wanted)?.unwrap_or_default()));
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
        // Once for what readers were shown.
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

    /// Shows a value that the fold has in another form and that goes into the shelf later.
    pub(crate) fn show(&mut self, key: &[u8], value: Value) {
        self.news.push((self.full(key), value));
    }

    /// Gives the next checkpoint a value that the caller keeps until that is written.
    pub(crate) fn put_through(&mut self, key: &[u8], value: Value) {
        self.through.push((self.full(key), value));
    }

    /// The same, ahead of the checkpoint's batch.
    pub(crate) fn put_through_ahead(&mut self, key: &[u8], value: Vec<u8>) {
        self.through_ahead.push((self.full(key), Arc::new(value)));
    }

    /// Shows readers everything, as of a position.
    pub(crate) fn publish(&mut self, position: Position) {
        for key in self.unseen.drain(..) {
            if let Some(slot) = self.held.get_mut(&key)
                && std::mem::take(&mut slot.unseen)
            {
                self.news.push((key, Arc::clone(&slot.value)));
            }
        }
        self.seen.show(std::mem::take(&mut self.news), position);
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
            let part = if slot.ahead && !slot.value.is_empty() { &mut ahead } else { &mut batch };
            part.push((key.clone(), Arc::clone(&slot.value)));
        }
        ahead.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.changed = 0;
        self.seen.hand_over();
        Checkpoint { ahead, batch }
    }

    /// The shelf has what was drained: readers find it there. Forgets it, where more than `keep` values are held.
    pub(crate) fn settled(&mut self, keep: usize) {
        self.seen.settled();
        if self.held.len() > keep {
            self.held.retain(|_, slot| slot.changed || slot.unseen);
        }
    }
}

#[cfg(test)]
impl Tx {
    /// What a checkpoint does.
    pub(crate) fn write_through(&mut self) {
        let checkpoint = self.drain();
        self.shelf.put_away(&checkpoint).expect("it is in memory");
        self.settled(0);
    }
}
