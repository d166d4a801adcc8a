//! The bitmap index: for each term the numbers of the rows that it is true of, 4,096 numbers to a value.
//!
//! Law: a term of a block without rows has no key. A block with few rows is stored as a list of numbers, one with
//! many as a bitmap.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::snapshot::{KeyReader, ReadSnapshot};
use crate::storage::StorageError;
use crate::write_batch::WriteBatch;

/// Numbers in one value.
pub(crate) const BLOCK: u32 = 4_096;
pub(super) const WORDS: usize = BLOCK as usize / 64;
const BITMAP_BYTES: usize = BLOCK as usize / 8;

/// The numbers of one block, as bits.
pub(crate) type Bits = [u64; WORDS];

/// Terms that keep their places.
const PLACES_MAX: usize = 4_096;

pub(super) const NONE: Bits = [0; WORDS];

/// The bytes of a term: what kind of term, and which.
pub(crate) fn term(kind: u8, text: &str) -> Vec<u8> {
    let mut term = Vec::with_capacity(text.len() + 3);
    term.extend_from_slice(&[b't', kind]);
    // The byte 0 ends a term.
    term.extend(text.bytes().map(|byte| byte.max(1)));
    term.push(0);
    term
}

fn key(term: &[u8], block: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(term.len() + 4);
    key.extend_from_slice(term);
    key.extend_from_slice(&block.to_be_bytes());
    key
}

/// A term of at most 16 bytes with zeros behind it, as one number: quicker to find than bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ShortTerm(u128);

impl ShortTerm {
    /// As [`term`] makes it; `None` where it is longer.
    pub(crate) fn of(kind: u8, text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let (head, room) = bytes.split_at_mut(2);
        head.copy_from_slice(&[b't', kind]);
        if text.len() >= room.len() {
            return None;
        }
        room.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte.max(1));
        Some(Self(u128::from_le_bytes(bytes)))
    }

    /// The term's bytes.
    fn term(self) -> Vec<u8> {
        let bytes = self.0.to_le_bytes();
        // Only the last byte of a term is 0.
        bytes.split_inclusive(|byte| *byte == 0).next().unwrap_or_default().to_vec()
    }
}

/// Collected changes of terms. Many rows share a term: its value is read once for all of them.
#[derive(Default)]
pub(crate) struct TermChanges {
    exact: TermLists<(u32, bool)>,
    /// Of terms that are only ever added to.
    growing: TermLists<u32>,
}

/// Terms, each with a list of changes.
///
/// Short terms recur: they keep their places, and their lists keep their allocations.
struct TermLists<T> {
    places: HashMap<ShortTerm, usize, RandomState>,
    lists: Vec<(ShortTerm, Vec<T>)>,
    /// The places of lists with anything in them.
    used: Vec<usize>,
    long: HashMap<Vec<u8>, Vec<T>, RandomState>,
}

impl<T> Default for TermLists<T> {
    fn default() -> Self {
        let (places, long) = (HashMap::default(), HashMap::default());
        Self { places, lists: Vec::new(), used: Vec::new(), long }
    }
}

impl<T> TermLists<T> {
    fn add(&mut self, kind: u8, text: &str, of: T) {
        let Some(term) = ShortTerm::of(kind, text) else {
            return self.long.entry(term(kind, text)).or_default().push(of);
        };
        let place = match self.places.get(&term) {
            Some(place) => *place,
            None => {
                self.places.insert(term, self.lists.len());
                self.lists.push((term, Vec::new()));
                self.lists.len() - 1
            }
        };
        let list = &mut self.lists[place].1;
        if list.is_empty() {
            self.used.push(place);
        }
        list.push(of);
    }

    /// Drains every list.
    fn drain(
        &mut self,
        mut take: impl FnMut(&[u8], &[T]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for place in self.used.drain(..) {
            let (term, rows) = &mut self.lists[place];
            take(&term.term(), rows)?;
            rows.clear();
        }
        for (term, rows) in self.long.drain() {
            take(&term, &rows)?;
        }
        if self.lists.len() > PLACES_MAX {
            *self = Self::default();
        }
        Ok(())
    }
}

/// Writes of which rows a term is true, and of which it is not; `ahead` of a checkpoint what only grows.
fn write<T: Copy>(
    term: &[u8],
    rows: &[T],
    says: impl Fn(T) -> (u32, bool),
    ahead: bool,
    batch: &mut WriteBatch,
) -> Result<(), StorageError> {
    let mut rest = rows;
    while let Some((block, count)) = of_one_block(rest, |row| says(*row).0) {
        let (here, further) = rest.split_at(count);
        let key = key(term, block);
        let bytes = if ahead { batch.entry_ahead(&key)? } else { batch.entry(&key)? };
        for (number, on) in here.iter().map(|row| says(*row)) {
            set_in(bytes, (number % BLOCK) as u16, on);
        }
        rest = further;
    }
    Ok(())
}

/// Those in front that lie in one block, and that block.
fn of_one_block<T>(rows: &[T], number: impl Fn(&T) -> u32) -> Option<(u32, usize)> {
    let block = number(rows.first()?) / BLOCK;
    Some((block, rows.iter().take_while(|row| number(row) / BLOCK == block).count()))
}

impl TermChanges {
    /// Sets whether a term is true of a row; the last call counts.
    pub(crate) fn set(&mut self, kind: u8, text: &str, number: u32, on: bool) {
        self.exact.add(kind, text, (number, on));
    }

    /// Adds a row to a term for good. It may be stored before the row is.
    pub(crate) fn add(&mut self, kind: u8, text: &str, number: u32) {
        self.growing.add(kind, text, number);
    }

    /// Writes all changes.
    pub(crate) fn flush(&mut self, batch: &mut WriteBatch) -> Result<(), StorageError> {
        self.exact.drain(|term, rows| write(term, rows, |row| row, false, batch))?;
        self.growing.drain(|term, rows| write(term, rows, |number| (number, true), true, batch))
    }
}

/// Sets whether a term is true of a row.
pub(crate) fn set(batch: &mut WriteBatch, term: &[u8], number: u32, on: bool) -> Result<(), StorageError> {
    set_in(batch.entry(&key(term, number / BLOCK))?, (number % BLOCK) as u16, on);
    Ok(())
}

fn set_in(bytes: &mut Vec<u8>, low: u16, on: bool) {
    if bytes.len() == BITMAP_BYTES {
        let bit = 1 << (low % 8);
        let byte = &mut bytes[usize::from(low / 8)];
        *byte = if on { *byte | bit } else { *byte & !bit };
        if !on && bytes.iter().all(|byte| *byte == 0) {
            bytes.clear();
        }
        return;
    }
    let count = bytes.len() / 2;
    let at = |bytes: &[u8], index: usize| u16::from_le_bytes([bytes[index * 2], bytes[index * 2 + 1]]);
    // New rows have the highest numbers.
    let is_last = count == 0 || at(bytes, count - 1) < low;
    let (mut from, mut to) = if is_last { (count, count) } else { (0, count) };
    while from < to {
        let middle = usize::midpoint(from, to);
        if at(bytes, middle) < low { from = middle + 1 } else { to = middle }
    }
    let is_there = from < count && at(bytes, from) == low;
    if is_there && !on {
        bytes.drain(from * 2..from * 2 + 2);
    } else if !is_there && on {
        if is_last {
            bytes.extend_from_slice(&low.to_le_bytes());
        } else {
            bytes.splice(from * 2..from * 2, low.to_le_bytes());
        }
        if bytes.len() == BITMAP_BYTES {
            let mut bitmap = vec![0; BITMAP_BYTES];
            for index in 0..=count {
                let low = at(bytes, index);
                bitmap[usize::from(low / 8)] |= 1 << (low % 8);
            }
            *bytes = bitmap;
        }
    }
}

pub(super) fn load(batch: &dyn KeyReader, term: &[u8], block: u32) -> Result<Bits, StorageError> {
    let mut bits = NONE;
    let Some(bytes) = batch.get(&key(term, block))? else { return Ok(bits) };
    if bytes.len() == BITMAP_BYTES {
        for (word, bytes) in bits.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
    } else {
        for pair in bytes.chunks_exact(2) {
            let low = usize::from(u16::from_le_bytes([pair[0], pair[1]])) % BLOCK as usize;
            bits[low / 64] |= 1 << (low % 64);
        }
    }
    Ok(bits)
}

/// The terms of a kind that begin with a text, at most `limit`.
pub(crate) fn terms_with(
    batch: &ReadSnapshot<'_>,
    kind: u8,
    start: &str,
    limit: usize,
) -> Result<Vec<Vec<u8>>, StorageError> {
    let whole = term(kind, start);
    let mut from = whole[..whole.len() - 1].to_vec();
    let mut to = from.clone();
    to.push(0xff);
    let mut terms = Vec::new();
    while terms.len() < limit {
        let Some((found, _)) = batch.scan(&from, &to, false, 1)?.pop() else { break };
        let term = found[..found.len() - 4].to_vec();
        from.clone_from(&term);
        from.extend_from_slice(&[0xff; 5]);
        terms.push(term);
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn a_short_term_has_the_bytes_of_a_term() {
        for text in ["", "a", "ünï", "with\0zero", "thirteen-byte", "fourteen-bytes"] {
            let short = ShortTerm::of(b'g', text).map(ShortTerm::term);
            assert_eq!(short, (text.len() < 14).then(|| term(b'g', text)), "{text}");
        }
    }
}
