//! The lifetime of each row of a model: the positions of its creation and of its end.
//!
//! Law: rows are numbered in the order of their creation. The rows of a past position are found without reading rows
//! that had ended by then: blocks and groups of blocks store their last end.
//!
//! Used by the models that answer for past positions.

use everfold_base::id::Position;

use crate::snapshot::KeyReader;
use crate::storage::StorageError;
use crate::write_batch::WriteBatch;

/// Rows in a block: 4 KiB.
const BLOCK: u32 = 256;
/// Blocks in a group.
const GROUP: u32 = 256;
const ROW_BYTES: usize = 16;
const LIVING: u64 = u64::MAX;

fn block_key(block: u32) -> [u8; 5] {
    let [a, b, c, d] = block.to_be_bytes();
    [b's', a, b, c, d]
}

fn group_key(group: u32) -> [u8; 5] {
    let [a, b, c, d] = group.to_be_bytes();
    [b'S', a, b, c, d]
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Adds the next row.
pub(crate) fn born(batch: &mut WriteBatch, number: u32, at: Position) -> Result<(), StorageError> {
    let bytes = batch.entry(&block_key(number / BLOCK))?;
    bytes.truncate((number % BLOCK) as usize * ROW_BYTES);
    bytes.extend_from_slice(&at.0.to_le_bytes());
    bytes.extend_from_slice(&LIVING.to_le_bytes());
    last_end(batch, number / BLOCK, LIVING)
}

/// Ends a row. Once is enough; a later end counts for nothing.
pub(crate) fn ended(batch: &mut WriteBatch, number: u32, at: Position) -> Result<(), StorageError> {
    let bytes = batch.entry(&block_key(number / BLOCK))?;
    let place = (number % BLOCK) as usize * ROW_BYTES + 8;
    if number_at(bytes, place) != LIVING {
        return Ok(());
    }
    bytes[place..place + 8].copy_from_slice(&at.0.to_le_bytes());
    // Most rows end in a block whose last one lives.
    let last = match bytes.len().checked_sub(8).map(|place| number_at(bytes, place)) {
        Some(LIVING) => LIVING,
        _ended => bytes.chunks_exact(ROW_BYTES).map(|row| number_at(row, 8)).max().unwrap_or(0),
    };
    last_end(batch, number / BLOCK, last)
}

fn last_end(batch: &mut WriteBatch, block: u32, last: u64) -> Result<(), StorageError> {
    let bytes = batch.entry(&group_key(block / GROUP))?;
    let place = (block % GROUP) as usize * 8;
    if bytes.len() < place + 8 {
        bytes.resize(place + 8, 0);
    }
    bytes[place..place + 8].copy_from_slice(&last.to_le_bytes());
    Ok(())
}

/// How many of the first `count` rows were born at a position or before.
pub(crate) fn born_by(batch: &dyn KeyReader, count: u32, at: Position) -> Result<u32, StorageError> {
    let first_of = |block: u32| -> Result<u64, StorageError> {
        Ok(batch.get(&block_key(block))?.map_or(u64::MAX, |bytes| number_at(&bytes, 0)))
    };
    let (mut from, mut to) = (0, count.div_ceil(BLOCK));
    while from < to {
        let middle = u32::midpoint(from, to);
        if first_of(middle)? <= at.0 { from = middle + 1 } else { to = middle }
    }
    let Some(block) = from.checked_sub(1) else { return Ok(0) };
    let bytes = batch.get(&block_key(block))?.unwrap_or_default();
    let within = bytes.chunks_exact(ROW_BYTES).take_while(|row| number_at(row, 0) <= at.0).count();
    Ok((block * BLOCK + within as u32).min(count))
}

/// The rows among the first `count` that were there at a position, in the order of their births.
pub(crate) fn living_at(batch: &dyn KeyReader, count: u32, at: Position) -> Result<Vec<u32>, StorageError> {
    let born = born_by(batch, count, at)?;
    let mut living = Vec::new();
    for group in 0..born.div_ceil(BLOCK * GROUP) {
        let ends = batch.get(&group_key(group))?.unwrap_or_default();
        for (index, end) in ends.chunks_exact(8).enumerate() {
            let block = group * GROUP + index as u32;
            if number_at(end, 0) <= at.0 || block * BLOCK >= born {
                continue;
            }
            let rows = batch.get(&block_key(block))?.unwrap_or_default();
            for (row, bytes) in rows.chunks_exact(ROW_BYTES).enumerate() {
                let number = block * BLOCK + row as u32;
                if number < born && number_at(bytes, 8) > at.0 {
                    living.push(number);
                }
            }
        }
    }
    Ok(living)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn what_was_there_at_a_position_is_what_was_born_and_had_not_ended() {
        let mut batch = WriteBatch::in_memory();
        // Row n is born at 2n + 1 and, but for every hundredth, ends 10 later.
        let birth = |number: u32| u64::from(number) * 2 + 1;
        for number in 0..1_000 {
            born(&mut batch, number, Position(birth(number))).unwrap();
        }
        for number in (0..1_000).filter(|number| number % 100 != 0) {
            ended(&mut batch, number, Position(birth(number) + 10)).unwrap();
        }
        for at in [0, 1, 2, 9, 500, 513, 1_023, 1_999, 5_000] {
            let wanted: Vec<u32> = (0..1_000)
                .filter(|number| birth(*number) <= at && (number % 100 == 0 || birth(*number) + 10 > at))
                .collect();
            assert_eq!(living_at(&batch, 1_000, Position(at)).unwrap(), wanted, "at {at}");
            let born = (0..1_000).filter(|number| birth(*number) <= at).count() as u32;
            assert_eq!(born_by(&batch, 1_000, Position(at)).unwrap(), born, "at {at}");
        }
    }
}
