//! The latest start time of each 256 rows: where a list of runs that began after a time can end.
//!
//! Law: a block's time never decreases.

use everfold_base::time::Timestamp;

use crate::snapshot::KeyReader;
use crate::storage::StorageError;
use crate::write_batch::WriteBatch;

const BLOCK: u32 = 256;
const GROUP: u32 = 256;

fn key(group: u32) -> [u8; 5] {
    let [a, b, c, d] = group.to_be_bytes();
    [b'b', a, b, c, d]
}

fn latest(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(i64::MIN, i64::from_le_bytes)
}

/// Notes the start of a row.
pub(crate) fn add(batch: &mut WriteBatch, number: u32, at: Timestamp) -> Result<(), StorageError> {
    let block = number / BLOCK;
    let bytes = batch.entry(&key(block / GROUP))?;
    let place = (block % GROUP) as usize * 8;
    if bytes.len() < place + 8 {
        bytes.resize(place, 0);
        bytes.extend_from_slice(&i64::MIN.to_le_bytes());
    }
    let slot = &mut bytes[place..place + 8];
    let later = latest(slot).max(at.0);
    slot.copy_from_slice(&later.to_le_bytes());
    Ok(())
}

/// The first row that may have started after a time.
pub(crate) fn first_after(batch: &dyn KeyReader, count: u32, after: Timestamp) -> Result<u32, StorageError> {
    for group in 0..count.div_ceil(BLOCK * GROUP) {
        let bytes = batch.get(&key(group))?.unwrap_or_default();
        let found = bytes.chunks_exact(8).position(|slot| latest(slot) > after.0);
        if let Some(found) = found {
            return Ok((group * GROUP + found as u32) * BLOCK);
        }
    }
    Ok(count)
}
