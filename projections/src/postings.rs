//! Secondary indexes: for each term the numbers of the rows that it is true of, 4,096 numbers to a value.
//!
//! Law: a term of a block without rows has no key. Conditions are combined by bits, so that a list reads
//! what its conditions leave and never every row.
//!
//! Used by the models that are listed.

use std::collections::HashMap;
use std::ops::ControlFlow;

use foldhash::fast::RandomState;

use crate::look::{Keys, Look};
use crate::shelf::ShelfError;
use crate::tx::Tx;

/// Numbers in one value.
pub(crate) const BLOCK: u32 = 4_096;
const WORDS: usize = BLOCK as usize / 64;
const BITMAP_BYTES: usize = BLOCK as usize / 8;

/// The numbers of one block, as bits.
pub(crate) type Bits = [u64; WORDS];

/// Terms that keep their places.
const PLACES_MAX: usize = 4_096;

const NONE: Bits = [0; WORDS];
const ALL: Bits = [u64::MAX; WORDS];

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
pub(crate) struct Short(u128);

impl Short {
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

/// What is to be said of terms. Many rows share a term: its value is looked up once for all of them.
#[derive(Default)]
pub(crate) struct Changes {
    exact: Terms<(u32, bool)>,
    /// Of terms that are only ever added to.
    growing: Terms<u32>,
}

/// Terms with a list each.
///
/// Short terms come again and again: they keep their places, and their lists the room that they had.
struct Terms<T> {
    places: HashMap<Short, usize, RandomState>,
    lists: Vec<(Short, Vec<T>)>,
    /// The places of lists with anything in them.
    used: Vec<usize>,
    long: HashMap<Vec<u8>, Vec<T>, RandomState>,
}

impl<T> Default for Terms<T> {
    fn default() -> Self {
        let (places, long) = (HashMap::default(), HashMap::default());
        Self { places, lists: Vec::new(), used: Vec::new(), long }
    }
}

impl<T> Terms<T> {
    fn add(&mut self, kind: u8, text: &str, of: T) {
        let Some(term) = Short::of(kind, text) else {
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

    /// Takes every list, and forgets what it said.
    fn drain(
        &mut self,
        mut take: impl FnMut(&[u8], &[T]) -> Result<(), ShelfError>,
    ) -> Result<(), ShelfError> {
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

/// Writes down of which rows a term is true, and of which it is not; `ahead` of a checkpoint what only grows.
fn write<T: Copy>(
    term: &[u8],
    rows: &[T],
    says: impl Fn(T) -> (u32, bool),
    ahead: bool,
    tx: &mut Tx,
) -> Result<(), ShelfError> {
    let mut rest = rows;
    while let Some((block, count)) = of_one_block(rest, |row| says(*row).0) {
        let (here, further) = rest.split_at(count);
        let key = key(term, block);
        let bytes = if ahead { tx.entry_ahead(&key)? } else { tx.entry(&key)? };
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

impl Changes {
    /// Says whether a term is true of a row; the last word counts.
    pub(crate) fn set(&mut self, kind: u8, text: &str, number: u32, on: bool) {
        self.exact.add(kind, text, (number, on));
    }

    /// Says that a term is true of a row, for ever. It may be in the shelf before the row is.
    pub(crate) fn add(&mut self, kind: u8, text: &str, number: u32) {
        self.growing.add(kind, text, number);
    }

    /// Writes it all down.
    pub(crate) fn flush(&mut self, tx: &mut Tx) -> Result<(), ShelfError> {
        self.exact.drain(|term, rows| write(term, rows, |row| row, false, tx))?;
        self.growing.drain(|term, rows| write(term, rows, |number| (number, true), true, tx))
    }
}

/// Says whether a term is true of a row.
pub(crate) fn set(tx: &mut Tx, term: &[u8], number: u32, on: bool) -> Result<(), ShelfError> {
    set_in(tx.entry(&key(term, number / BLOCK))?, (number % BLOCK) as u16, on);
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

fn load(tx: &dyn Keys, term: &[u8], block: u32) -> Result<Bits, ShelfError> {
    let mut bits = NONE;
    let Some(bytes) = tx.get(&key(term, block))? else { return Ok(bits) };
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
    tx: &Look<'_>,
    kind: u8,
    start: &str,
    limit: usize,
) -> Result<Vec<Vec<u8>>, ShelfError> {
    let whole = term(kind, start);
    let mut from = whole[..whole.len() - 1].to_vec();
    let mut to = from.clone();
    to.push(0xff);
    let mut terms = Vec::new();
    while terms.len() < limit {
        let Some((found, _)) = tx.scan(&from, &to, false, 1)?.pop() else { break };
        let term = found[..found.len() - 4].to_vec();
        from.clone_from(&term);
        from.extend_from_slice(&[0xff; 5]);
        terms.push(term);
    }
    Ok(terms)
}

/// What must be true of a row.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    /// A term.
    Term(Vec<u8>),
    /// One of them.
    Any(Vec<Condition>),
    /// Each of them.
    All(Vec<Condition>),
    /// Its number is one of these, in their order.
    Numbers(Vec<u32>),
    /// Its number is none of these, in their order.
    Not(Vec<u32>),
}

impl Condition {
    /// The rows of a block that fit.
    pub(crate) fn bits(&self, tx: &dyn Keys, block: u32) -> Result<Bits, ShelfError> {
        match self {
            Self::Term(term) => load(tx, term, block),
            Self::Any(any) => any.iter().try_fold(NONE, |mut bits, condition| {
                let more = condition.bits(tx, block)?;
                bits.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
                Ok(bits)
            }),
            Self::All(all) => {
                let mut bits = ALL;
                for condition in all {
                    if bits == NONE {
                        break;
                    }
                    let more = condition.bits(tx, block)?;
                    bits.iter_mut().zip(more).for_each(|(word, more)| *word &= more);
                }
                Ok(bits)
            }
            Self::Numbers(numbers) => Ok(of_block(numbers, block)),
            Self::Not(numbers) => Ok(of_block(numbers, block).map(|word| !word)),
        }
    }

    /// Shows the rows that fit with numbers in a range, the highest first where `newest`, until told to
    /// stop.
    pub(crate) fn walk<B>(
        &self,
        tx: &dyn Keys,
        numbers: std::ops::Range<u32>,
        newest: bool,
        mut each: impl FnMut(u32) -> Result<ControlFlow<B>, ShelfError>,
    ) -> Result<Option<B>, ShelfError> {
        if numbers.is_empty() {
            return Ok(None);
        }
        let blocks = numbers.start / BLOCK..=(numbers.end - 1) / BLOCK;
        let mut show = |block: u32| -> Result<ControlFlow<B>, ShelfError> {
            let bits = self.bits(tx, block)?;
            let mut word_at = |index: usize| -> Result<ControlFlow<B>, ShelfError> {
                let mut word = bits[index];
                while word != 0 {
                    let bit = if newest { 63 - word.leading_zeros() } else { word.trailing_zeros() };
                    word &= !(1 << bit);
                    let number = block * BLOCK + index as u32 * 64 + bit;
                    if numbers.contains(&number)
                        && let ControlFlow::Break(value) = each(number)?
                    {
                        return Ok(ControlFlow::Break(value));
                    }
                }
                Ok(ControlFlow::Continue(()))
            };
            for index in 0..WORDS {
                let index = if newest { WORDS - 1 - index } else { index };
                if let ControlFlow::Break(value) = word_at(index)? {
                    return Ok(ControlFlow::Break(value));
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        let count = blocks.end() - blocks.start();
        for index in 0..=count {
            let block = if newest { blocks.end() - index } else { blocks.start() + index };
            if let ControlFlow::Break(value) = show(block)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// How many rows fit with numbers below `end`.
    pub(crate) fn count(&self, tx: &dyn Keys, end: u32) -> Result<u64, ShelfError> {
        let mut total = 0;
        for block in 0..end.div_ceil(BLOCK) {
            let mut bits = self.bits(tx, block)?;
            let over = end - block * BLOCK;
            if over < BLOCK {
                let (word, bit) = ((over / 64) as usize, over % 64);
                bits[word] &= (1_u64 << bit) - 1;
                bits[word + 1..].fill(0);
            }
            total += bits.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        }
        Ok(total)
    }
}

fn of_block(numbers: &[u32], block: u32) -> Bits {
    let mut bits = NONE;
    let from = numbers.partition_point(|number| *number < block * BLOCK);
    for number in numbers[from..].iter().take_while(|number| **number / BLOCK == block) {
        let low = (number % BLOCK) as usize;
        bits[low / 64] |= 1 << (low % 64);
    }
    bits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn a_short_term_has_the_bytes_of_a_term() {
        for text in ["", "a", "ünï", "with\0zero", "thirteen-byte", "fourteen-bytes"] {
            let short = Short::of(b'g', text).map(Short::term);
            assert_eq!(short, (text.len() < 14).then(|| term(b'g', text)), "{text}");
        }
    }

    #[test]
    fn terms_are_combined_counted_and_walked_both_ways() {
        let mut tx = Tx::in_memory();
        let (even, third) = (term(b'x', "even"), term(b'x', "third"));
        for number in 0..10_000 {
            if number % 2 == 0 {
                set(&mut tx, &even, number, true).unwrap();
            }
            if number % 3 == 0 {
                set(&mut tx, &third, number, true).unwrap();
            }
        }
        set(&mut tx, &even, 6, false).unwrap();
        let both = Condition::All(vec![Condition::Term(even.clone()), Condition::Term(third)]);
        assert_eq!(both.count(&tx, 10_000).unwrap(), 1_666);
        assert_eq!(both.count(&tx, 13).unwrap(), 2); // 0 and 12
        let first = |newest| {
            let mut seen = Vec::new();
            let walked = both.walk(&tx, 0..10_000, newest, |number| {
                seen.push(number);
                Ok(if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            });
            walked.unwrap().unwrap();
            seen
        };
        assert_eq!(first(false), [0, 12, 18]);
        assert_eq!(first(true), [9_996, 9_990, 9_984]);
        for number in 0..10_000 {
            set(&mut tx, &even, number, false).unwrap();
        }
        tx.publish(everfold_engine::id::Position(1));
        assert_eq!(terms_with(&tx.seen().look(), b'x', "", 10).unwrap().len(), 1);
    }
}
