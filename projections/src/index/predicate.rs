//! Conditions on rows, answered from the bitmap index.
//!
//! Law: conditions are combined bit by bit, so that a list reads the rows that its conditions leave and never every row.

use std::ops::ControlFlow;

use super::bitmap_index::{BLOCK, Bits, NONE, WORDS, load};
use crate::snapshot::KeyReader;
use crate::storage::StorageError;

const ALL: Bits = [u64::MAX; WORDS];

/// What must be true of a row.
#[derive(Debug, Clone)]
pub(crate) enum Predicate {
    /// A term.
    Term(Vec<u8>),
    /// One of them.
    Any(Vec<Predicate>),
    /// Each of them.
    All(Vec<Predicate>),
    /// Its number is one of these, in their order.
    Numbers(Vec<u32>),
    /// Its number is none of these, in their order.
    Not(Vec<u32>),
}

impl Predicate {
    /// One of the conditions that values stand for; no condition where there is no value.
    pub(crate) fn one_of<T>(values: &[T], condition: impl Fn(&T) -> Self) -> Option<Self> {
        match values {
            [] => None,
            [one] => Some(condition(one)),
            several => Some(Self::Any(several.iter().map(condition).collect())),
        }
    }

    /// The rows of a block that fit.
    pub(crate) fn bits(&self, batch: &dyn KeyReader, block: u32) -> Result<Bits, StorageError> {
        match self {
            Self::Term(term) => load(batch, term, block),
            Self::Any(any) => any.iter().try_fold(NONE, |mut bits, condition| {
                let more = condition.bits(batch, block)?;
                bits.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
                Ok(bits)
            }),
            Self::All(all) => {
                let mut bits = ALL;
                for condition in all {
                    if bits == NONE {
                        break;
                    }
                    let more = condition.bits(batch, block)?;
                    bits.iter_mut().zip(more).for_each(|(word, more)| *word &= more);
                }
                Ok(bits)
            }
            Self::Numbers(numbers) => Ok(of_block(numbers, block)),
            Self::Not(numbers) => Ok(of_block(numbers, block).map(|word| !word)),
        }
    }

    /// Visits the rows that fit with numbers in a range, the highest first where `newest`, until `each` breaks.
    pub(crate) fn walk<B>(
        &self,
        batch: &dyn KeyReader,
        numbers: std::ops::Range<u32>,
        newest: bool,
        mut each: impl FnMut(u32) -> Result<ControlFlow<B>, StorageError>,
    ) -> Result<Option<B>, StorageError> {
        if numbers.is_empty() {
            return Ok(None);
        }
        let blocks = numbers.start / BLOCK..=(numbers.end - 1) / BLOCK;
        let mut show = |block: u32| -> Result<ControlFlow<B>, StorageError> {
            let bits = self.bits(batch, block)?;
            let mut word_at = |index: usize| -> Result<ControlFlow<B>, StorageError> {
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
    pub(crate) fn count(&self, batch: &dyn KeyReader, end: u32) -> Result<u64, StorageError> {
        let mut total = 0;
        for block in 0..end.div_ceil(BLOCK) {
            let mut bits = self.bits(batch, block)?;
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
    use crate::index::bitmap_index::{set, term, terms_with};
    use crate::write_batch::WriteBatch;

    #[test]
    fn terms_are_combined_counted_and_walked_both_ways() {
        let mut batch = WriteBatch::in_memory();
        let (even, third) = (term(b'x', "even"), term(b'x', "third"));
        for number in 0..10_000 {
            if number % 2 == 0 {
                set(&mut batch, &even, number, true).unwrap();
            }
            if number % 3 == 0 {
                set(&mut batch, &third, number, true).unwrap();
            }
        }
        set(&mut batch, &even, 6, false).unwrap();
        let both = Predicate::All(vec![Predicate::Term(even.clone()), Predicate::Term(third)]);
        assert_eq!(both.count(&batch, 10_000).unwrap(), 1_666);
        assert_eq!(both.count(&batch, 13).unwrap(), 2); // 0 and 12
        let first = |newest| {
            let mut seen = Vec::new();
            let walked = both.walk(&batch, 0..10_000, newest, |number| {
                seen.push(number);
                Ok(if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            });
            walked.unwrap().unwrap();
            seen
        };
        assert_eq!(first(false), [0, 12, 18]);
        assert_eq!(first(true), [9_996, 9_990, 9_984]);
        for number in 0..10_000 {
            set(&mut batch, &even, number, false).unwrap();
        }
        batch.publish(everfold_base::id::Position(1));
        assert_eq!(terms_with(&batch.published().snapshot(), b'x', "", 10).unwrap().len(), 1);
    }
}
