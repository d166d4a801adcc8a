//! What readers see of a read model: what it showed last, on top of the shelf.
//!
//! Law: a look is of one position. Nobody folds while a reader looks on, but for a moment in which what was
//! folded is put in its place; and the fold holds up readers for no longer.
//!
//! Shown by [`crate::tx`], looked at through the views.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use everfold_engine::id::Position;

use crate::shelf::{Key, Pair, Shelf, ShelfError, Value};

/// Keys with the values that they have from now on; empty: none.
pub(crate) type News = Vec<(Key, Value)>;

/// Keys whose values can be asked for.
pub(crate) trait Keys {
    /// One value.
    fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ShelfError>;
}

struct State {
    /// What the shelf does not have yet, and no checkpoint either.
    above: BTreeMap<Key, Value>,
    /// What a checkpoint has that is being written, below that.
    going: BTreeMap<Key, Value>,
    position: Position,
}

impl State {
    /// The value of a key that the shelf does not have yet.
    fn get(&self, key: &[u8]) -> Option<&Value> {
        self.above.get(key).or_else(|| self.going.get(key))
    }
}

/// What a read model shows.
pub(crate) struct Seen {
    shelf: Arc<Shelf>,
    prefix: [u8; 4],
    state: RwLock<State>,
}

impl Seen {
    pub(crate) fn new(shelf: Arc<Shelf>, prefix: [u8; 4], position: Position) -> Self {
        let state = State { above: BTreeMap::new(), going: BTreeMap::new(), position };
        Self { shelf, prefix, state: RwLock::new(state) }
    }

    /// Looks at it. It stays as it is for as long as that is held.
    pub(crate) fn look(&self) -> Look<'_> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Look { shelf: &self.shelf, prefix: self.prefix, state }
    }

    pub(crate) fn show(&self, news: News, position: Position) {
        let mut former = Vec::with_capacity(news.len());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in news {
            former.extend(state.above.insert(key, value));
        }
        state.position = position;
        drop(state);
        // Given back while nobody waits.
        drop(former);
    }

    /// A checkpoint has everything; it is on its way into the shelf.
    pub(crate) fn hand_over(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State { above, going, .. } = &mut *state;
        if going.is_empty() { std::mem::swap(above, going) } else { going.append(above) }
    }

    /// The shelf has what was handed over.
    pub(crate) fn settled(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let gone = std::mem::take(&mut state.going);
        drop(state);
        drop(gone);
    }
}

/// What a read model shows at a moment.
pub(crate) struct Look<'a> {
    shelf: &'a Shelf,
    prefix: [u8; 4],
    state: RwLockReadGuard<'a, State>,
}

impl Keys for Look<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ShelfError> {
        let full = self.full(key);
        match self.state.get(&full) {
            Some(value) => Ok((!value.is_empty()).then_some(Cow::Borrowed(value.as_slice()))),
            None => Ok(self.shelf.get(&full)?.map(Cow::Owned)),
        }
    }
}

impl Look<'_> {
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
    ) -> Result<Vec<Pair>, ShelfError> {
        let (mut from, mut to) = (self.full(from), self.full(to));
        let mut found: Vec<Pair> = Vec::new();
        while found.len() < limit && from < to {
            let wanted = limit - found.len();
            let stored = self.shelf.scan(&from, &to, reverse, wanted)?;
            let is_last = stored.len() < wanted;
            // What stands above counts up to where the stored ones reach.
            let (low, high) = match stored.last() {
                Some((key, _)) if !is_last && reverse => (key.clone(), to.clone()),
                Some((key, _)) if !is_last => (from.clone(), after(key)),
                _ => (from.clone(), to.clone()),
            };
            let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
            let between = (Bound::Included(low.as_slice()), Bound::Excluded(high.as_slice()));
            for layer in [&self.state.going, &self.state.above] {
                for (key, value) in layer.range::<[u8], _>(between) {
                    if value.is_empty() {
                        merged.remove(&**key);
                    } else {
                        merged.insert(key.to_vec(), value.to_vec());
                    }
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
    use crate::tx::Tx;

    #[test]
    fn what_is_being_written_lies_between_the_shelf_and_what_was_shown_since() {
        let shelf = Arc::new(Shelf::memory());
        let mut tx = Tx::new(Arc::clone(&shelf), [0; 4], Position::ZERO);
        for key in [1_u8, 2, 3] {
            tx.put(&[key], vec![key]);
        }
        tx.publish(Position(1));
        let checkpoint = tx.drain();
        tx.put(&[2], vec![20]);
        tx.put(&[3], Vec::new());
        tx.publish(Position(2));
        let seen = Arc::clone(tx.seen());
        let shown = || {
            let look = seen.look();
            let got = [1, 2, 3].map(|key: u8| look.get(&[key]).unwrap().map(|value| value[0]));
            let all = look.scan(&[0], &[9], false, 10).unwrap();
            (got, all.iter().map(|(_, value)| value[0]).collect::<Vec<_>>())
        };
        let wanted = ([Some(1), Some(20), None], vec![1, 20]);
        assert_eq!(shown(), wanted, "nothing is in the shelf");
        shelf.put_ahead(&checkpoint).unwrap();
        assert_eq!(shown(), wanted, "a part is");
        shelf.put_away(&checkpoint).unwrap();
        assert_eq!(shown(), wanted, "all of it is");
        tx.settled(0);
        assert_eq!(shown(), wanted, "and is looked for there");
    }

    #[test]
    fn a_scan_sees_the_stored_and_the_changed_in_one_order() {
        let shelf = Arc::new(Shelf::memory());
        let mut tx = Tx::new(Arc::clone(&shelf), [0; 4], Position::ZERO);
        for key in [1_u8, 3, 5, 7] {
            tx.put(&[key], vec![key]);
        }
        tx.publish(Position(1));
        shelf.put_away(&tx.drain()).unwrap();
        tx.settled(0);
        tx.put(&[2], vec![20]);
        tx.put(&[5], Vec::new());
        tx.put(&[7], vec![70]);
        assert_eq!(tx.seen().look().get(&[2]).unwrap(), None, "it is not shown yet");
        tx.publish(Position(2));
        let look = tx.seen().look();
        assert_eq!((look.position(), look.get(&[5]).unwrap()), (Position(2), None));
        let keys = |reverse, limit| -> Vec<u8> {
            look.scan(&[0], &[9], reverse, limit).unwrap().iter().map(|(key, _)| key[0]).collect()
        };
        assert_eq!(keys(false, 10), [1, 2, 3, 7]);
        assert_eq!(keys(true, 10), [7, 3, 2, 1]);
        assert_eq!(keys(false, 2), [1, 2]);
        assert_eq!(keys(true, 2), [7, 3]);
        assert_eq!(keys(true, 1), [7]);
        assert_eq!(keys(false, 3), [1, 2, 3]);
    }
}
