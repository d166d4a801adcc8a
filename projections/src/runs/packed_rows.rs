//! Rows of runs that have ended, eight to a value: sled takes microseconds for each key whatever is in it,
//! and what is listed together lies together.
//!
//! Law: a value is written before the checkpoint that counts its rows, and outside of its batch. So a row that
//! a checkpoint has here is not changed here: it goes under a key of its own, which is looked at first, as it
//! does while its run goes on and where it is long. What a kill leaves behind a checkpoint is beyond its count,
//! or stands under its own key as it was; folded again it comes out the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::id_map::IdMap;
use crate::snapshot::{KeyReader, ReadSnapshot};
use crate::storage::{StorageError, StorageValue};
use crate::write_batch::WriteBatch;

/// Rows in a value.
const ROWS: u32 = 8;
/// Longer rows have keys of their own: values stay far below what sled keeps in its file.
pub(super) const ROW_BYTES_MAX: usize = 1_000;
/// The length of each row stands in front of them.
const LENGTHS: usize = 2 * ROWS as usize;

/// Rows that are on their way into the storage.
#[derive(Default)]
pub(super) struct RowPacker {
    waiting: IdMap<u32, StorageValue>,
    /// Given to a checkpoint that is not written yet.
    handed: IdMap<u32, StorageValue>,
}

fn key(block: u32) -> [u8; 5] {
    let [a, b, c, d] = block.to_be_bytes();
    [b'R', a, b, c, d]
}

/// The number in the key of a row or of a block, behind its first byte.
pub(super) fn number_in(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

/// Where a row of a value is; empty where it is not there.
fn range_in(bytes: &[u8], row: usize) -> Range<usize> {
    let length = |row: usize| match bytes.get(row * 2..row * 2 + 2) {
        Some(pair) => usize::from(u16::from_le_bytes([pair[0], pair[1]])),
        None => 0,
    };
    let from = LENGTHS + (0..row).map(length).sum::<usize>();
    let to = from + length(row);
    if to <= bytes.len() { from..to } else { 0..0 }
}

fn row_in(bytes: &[u8], row: usize) -> &[u8] {
    &bytes[range_in(bytes, row)]
}

impl RowPacker {
    /// Takes a row.
    pub(super) fn add(&mut self, number: u32, row: StorageValue) {
        self.waiting.insert(number, row);
    }

    /// Rows that no checkpoint was given yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A row that the storage does not have yet.
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        let row = self.waiting.get(&number).or_else(|| self.handed.get(&number));
        row.map(|row| row.as_slice())
    }

    /// Gives everything to a checkpoint.
    pub(super) fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), StorageError> {
        let mut blocks: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for number in self.waiting.keys() {
            blocks.entry(number / ROWS).or_default().push(*number);
        }
        for (block, numbers) in blocks {
            let stored = if numbers.len() == ROWS as usize { None } else { batch.get(&key(block))? };
            let rows: [&[u8]; ROWS as usize] =
                std::array::from_fn(|row| match self.waiting.get(&(block * ROWS + row as u32)) {
                    Some(new) => new.as_slice(),
                    None => stored.as_deref().map_or(&[][..], |stored| row_in(stored, row)),
                });
            let lengths = rows.map(|row| (row.len() as u16).to_le_bytes());
            let mut value = Vec::with_capacity(LENGTHS + rows.iter().map(|row| row.len()).sum::<usize>());
            value.extend_from_slice(lengths.as_flattened());
            rows.iter().for_each(|row| value.extend_from_slice(row));
            batch.put_through_ahead(&key(block), value);
        }
        self.handed.extend(self.waiting.drain());
        Ok(())
    }

    /// Drops the rows that are stored.
    pub(super) fn settled(&mut self) {
        self.handed = IdMap::default();
    }
}

/// The block of a row.
pub(super) fn block_of(number: u32) -> u32 {
    number / ROWS
}

/// The rows of blocks.
pub(super) fn numbers_of(blocks: &Range<u32>) -> Range<u32> {
    blocks.start.saturating_mul(ROWS)..blocks.end.saturating_mul(ROWS)
}

/// A block as it is stored.
pub(super) fn stored(keys: &dyn KeyReader, block: u32) -> Result<Option<Cow<'_, [u8]>>, StorageError> {
    keys.get(&key(block))
}

/// Blocks as they are stored, in their order; those that are there.
pub(super) fn stored_between(
    snapshot: &ReadSnapshot<'_>,
    blocks: Range<u32>,
) -> Result<Vec<(u32, StorageValue)>, StorageError> {
    let pairs = snapshot.scan(&key(blocks.start), &key(blocks.end), false, blocks.len())?;
    Ok(pairs.into_iter().filter_map(|(key, block)| Some((number_in(&key)?, Arc::new(block)))).collect())
}

/// Where a row of its block is; empty where it is not there.
pub(super) fn range_of(block: &[u8], number: u32) -> Range<usize> {
    range_in(block, (number % ROWS) as usize)
}

/// Reads a row that the storage has packed.
pub(super) fn read<T>(
    keys: &dyn KeyReader,
    number: u32,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, StorageError> {
    let Some(bytes) = stored(keys, block_of(number))? else { return Ok(None) };
    let row = row_in(&bytes, (number % ROWS) as usize);
    Ok((!row.is_empty()).then(|| read(row)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn rows_are_found_while_they_wait_and_among_others_that_came_later() {
        let mut batch = WriteBatch::in_memory();
        let mut packer = RowPacker::default();
        let row = |number: u32| vec![number as u8; 3 + number as usize];
        let mut there: Vec<u32> = Vec::new();
        for numbers in [&[3_u32, 0, 9][..], &[1, 2, 17], &[4, 5, 6, 7, 8]] {
            for number in numbers {
                packer.add(*number, std::sync::Arc::new(row(*number)));
                there.push(*number);
            }
            for step in 0..3 {
                match step {
                    0 => {}
                    1 => packer.settle(&mut batch).unwrap(),
                    _ => {
                        batch.write_through();
                        packer.settled();
                    }
                }
                for number in 0..20 {
                    let waits = packer.get(number).map(<[u8]>::to_vec);
                    let found = waits.or(super::read(&batch, number, <[u8]>::to_vec).unwrap());
                    assert_eq!(found, there.contains(&number).then(|| row(number)), "{number}, {step}");
                }
            }
        }
    }
}
