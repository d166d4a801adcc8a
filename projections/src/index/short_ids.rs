//! The last eight digits of the runs' ids, by the numbers of their rows: four bytes for a run.
//!
//! Law: written at a row's birth and never changed, so it may be in the storage before the row is.

use std::borrow::Cow;

use everfold_base::id::RunId;

use crate::snapshot::KeyReader;
use crate::storage::StorageError;
use crate::write_batch::WriteBatch;

/// Runs in one value: 4 KiB.
const BLOCK: u32 = 1_024;
const BYTES: usize = 4;

fn key(block: u32) -> [u8; 5] {
    let [a, b, c, d] = block.to_be_bytes();
    [b'n', a, b, c, d]
}

/// The last eight digits of an id, as a number.
pub(crate) fn of(run: RunId) -> u32 {
    run.0.as_u128() as u32
}

/// Notes the run of a new row.
pub(crate) fn add(batch: &mut WriteBatch, number: u32, run: RunId) -> Result<(), StorageError> {
    let bytes = batch.entry_ahead(&key(number / BLOCK))?;
    let place = (number % BLOCK) as usize * BYTES;
    if bytes.len() < place + BYTES {
        bytes.resize(place + BYTES, 0);
    }
    bytes[place..place + BYTES].copy_from_slice(&of(run).to_le_bytes());
    Ok(())
}

/// Reads the short ids of rows that lie near one another.
pub(crate) struct ShortIdReader<'a> {
    keys: &'a dyn KeyReader,
    /// The value that was read last, and which.
    block: Option<(u32, Cow<'a, [u8]>)>,
}

impl<'a> ShortIdReader<'a> {
    pub(crate) fn new(keys: &'a dyn KeyReader) -> Self {
        Self { keys, block: None }
    }

    /// The short id of a row.
    pub(crate) fn at(&mut self, number: u32) -> Result<Option<u32>, StorageError> {
        let wanted = number / BLOCK;
        let bytes = match self.block.take() {
            Some((block, bytes)) if block == wanted => bytes,
            _another => self.keys.get(&key(wanted))?.unwrap_or_default(),
        };
        let place = (number % BLOCK) as usize * BYTES;
        let short = bytes.get(place..place + BYTES).and_then(|bytes| bytes.try_into().ok());
        self.block = Some((wanted, bytes));
        Ok(short.map(u32::from_le_bytes))
    }
}

/// The newest of the first `count` rows whose short ids begin with these digits, at most `limit`, in the
/// order of their numbers.
pub(crate) fn starting(
    batch: &dyn KeyReader,
    count: u32,
    start: &str,
    limit: usize,
) -> Result<Vec<u32>, StorageError> {
    let Ok(digits) = u32::from_str_radix(start, 16) else { return Ok(Vec::new()) };
    if start.len() > 8 {
        return Ok(Vec::new());
    }
    let open = 32 - 4 * start.len() as u32;
    let mut numbers = Vec::new();
    for block in (0..count.div_ceil(BLOCK)).rev() {
        let bytes = batch.get(&key(block))?.unwrap_or_default();
        for (row, short) in bytes.chunks_exact(BYTES).enumerate().rev() {
            let number = block * BLOCK + row as u32;
            let short = short.try_into().map_or(0, u32::from_le_bytes);
            if short >> open == digits && number < count {
                numbers.push(number);
                if numbers.len() == limit {
                    break;
                }
            }
        }
        if numbers.len() == limit {
            break;
        }
    }
    numbers.reverse();
    Ok(numbers)
}
