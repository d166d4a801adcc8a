//! A map of a few entries, in the order of their keys and in one allocation, which stays when they are removed. With
//! many entries, those at either end are cheap, too: the items of a step begin and end nearly in order.
//!
//! Law: it is stored as any map is.
//!
//! Used for what comes and goes with nearly every event.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map of a few entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmallMap<K, V>(VecDeque<(K, V)>);

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    /// Where an entry is, or belongs.
    fn place(&self, key: &K) -> Result<usize, usize> {
        // Most of the time there is one, or none.
        match (self.0.len(), self.0.front()) {
            (1, Some((only, _))) => match only.cmp(key) {
                Ordering::Equal => Ok(0),
                Ordering::Less => Err(1),
                Ordering::Greater => Err(0),
            },
            _many => self.0.binary_search_by(|(known, _)| known.cmp(key)),
        }
    }

    fn take(&mut self, place: usize) -> Option<(K, V)> {
        if place == 0 { self.0.pop_front() } else { self.0.remove(place) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// Puts an entry; gives the value that it had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().and_then(|place| self.take(place)).map(|(_, value)| value)
    }

    /// Takes an entry out if this is true of its value.
    pub(crate) fn remove_if(&mut self, key: &K, is_meant: impl FnOnce(&V) -> bool) -> bool {
        let place = self.place(key).ok().filter(|place| is_meant(&self.0[*place].1));
        place.and_then(|place| self.take(place)).is_some()
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&K) -> bool) {
        if !self.0.is_empty() {
            self.0.retain(|(key, _)| stays(key));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.0.iter()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Serialize, V: Serialize> Serialize for SmallMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for SmallMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|map| Self(map.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;
    use crate::row_codec;

    #[test]
    fn it_does_what_a_map_does_and_is_stored_as_one() {
        let (mut few, mut map) = (SmallMap::default(), BTreeMap::new());
        // Every key comes, goes and comes again, in no order.
        for step in 0..200_u32 {
            let (key, value) = (step * 7 % 11, step);
            match step % 3 {
                0 => assert_eq!(few.remove(&key), map.remove(&key)),
                1 if map.get(&key).is_some_and(|known| known % 2 == 0) => {
                    assert!(few.remove_if(&key, |known| known % 2 == 0));
                    map.remove(&key);
                }
                _ => assert_eq!(few.insert(key, value), map.insert(key, value)),
            }
            assert!(!few.remove_if(&key, |_| false));
            assert_eq!(few.get(&key), map.get(&key));
            assert!(few.iter().map(|(key, _)| key).eq(map.keys()) && few.len() == map.len());
            let bytes = row_codec::encode(&few).unwrap();
            assert_eq!(bytes, row_codec::encode(&map).unwrap());
            assert_eq!(row_codec::read::<SmallMap<u32, u32>>(&mut bytes.as_slice()).unwrap(), few);
        }
        few.retain(|key| key % 2 == 0);
        map.retain(|key, _| key % 2 == 0);
        assert!(few.iter().map(|(key, _)| key).eq(map.keys()));
    }
}
