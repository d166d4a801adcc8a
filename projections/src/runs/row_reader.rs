//! Rows of a snapshot, read one after the other: what lies together is read together.
//!
//! Law: a row is what the snapshot has under the row's own key, else what it has among the others of its block. What is kept
//! of a block stays true while the snapshot is held: what a checkpoint moves meanwhile stands above the storage until then.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::fold::record_key;
use super::packed_rows;
use super::record::RowRecord;
use crate::projection::FoldError;
use crate::snapshot::{KeyReader as _, ReadSnapshot};
use crate::storage::{StorageError, StorageValue};

/// Blocks that are read at once where rows are read in the order of their numbers, some 100 KB.
const BLOCKS_AHEAD: u32 = 32;

/// A row as it is stored, alone or among the others of its block.
#[derive(Debug, Clone)]
pub(super) struct RowBytes {
    block: StorageValue,
    row: Range<usize>,
}

impl RowBytes {
    fn alone(bytes: Vec<u8>) -> Self {
        let row = 0..bytes.len();
        Self { block: Arc::new(bytes), row }
    }

    /// The bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.block[self.row.clone()]
    }
}

/// Reads rows by their numbers; always of the same snapshot.
#[derive(Default)]
pub(super) struct RowReader {
    last: RefCell<ReadBlocks>,
}

/// The blocks that were read last, one after the other.
#[derive(Default)]
struct ReadBlocks {
    numbers: Range<u32>,
    /// Their rows that have keys of their own, by number; `None`: they were not looked for yet.
    own: Option<Vec<(u32, StorageValue)>>,
    packed: Vec<(u32, StorageValue)>,
}

impl RowReader {
    /// A row; `None` where there is none of this number.
    pub(super) fn read(
        &self,
        snapshot: &ReadSnapshot<'_>,
        number: u32,
    ) -> Result<Option<RowRecord>, FoldError> {
        self.bytes(snapshot, number)?.map(|bytes| RowRecord::shown_row(bytes.as_slice())).transpose()
    }

    /// The same as it is stored.
    pub(super) fn bytes(
        &self,
        snapshot: &ReadSnapshot<'_>,
        number: u32,
    ) -> Result<Option<RowBytes>, StorageError> {
        let block = packed_rows::block_of(number);
        let mut last = self.last.borrow_mut();
        if last.numbers.contains(&block) {
            return last.row(snapshot, number);
        }
        if block == last.numbers.end && block > 0 {
            *last = ReadBlocks::together(snapshot, block..block.saturating_add(BLOCKS_AHEAD))?;
            return last.row(snapshot, number);
        }
        if block.checked_add(1) == Some(last.numbers.start) {
            *last = ReadBlocks::together(snapshot, (block + 1).saturating_sub(BLOCKS_AHEAD)..block + 1)?;
            return last.row(snapshot, number);
        }
        if let Some(bytes) = snapshot.get(&record_key(number))? {
            return Ok(Some(RowBytes::alone(bytes.into_owned())));
        }
        let packed = packed_rows::stored(snapshot, block)?;
        let packed = packed.map(|bytes| (block, Arc::new(bytes.into_owned()))).into_iter().collect();
        *last = ReadBlocks { numbers: block..block + 1, own: None, packed };
        Ok(last.packed(number))
    }
}

impl ReadBlocks {
    fn together(snapshot: &ReadSnapshot<'_>, numbers: Range<u32>) -> Result<Self, StorageError> {
        let packed = packed_rows::stored_between(snapshot, numbers.clone())?;
        Ok(Self { own: Some(own_rows(snapshot, &numbers)?), numbers, packed })
    }

    fn row(&mut self, snapshot: &ReadSnapshot<'_>, number: u32) -> Result<Option<RowBytes>, StorageError> {
        let own = match &mut self.own {
            Some(own) => own,
            none => none.insert(own_rows(snapshot, &self.numbers)?),
        };
        Ok(match own.binary_search_by_key(&number, |(of, _)| *of) {
            Ok(place) => Some(RowBytes { block: Arc::clone(&own[place].1), row: 0..own[place].1.len() }),
            Err(_) => self.packed(number),
        })
    }

    fn packed(&self, number: u32) -> Option<RowBytes> {
        let block = packed_rows::block_of(number);
        let place = self.packed.binary_search_by_key(&block, |(of, _)| *of).ok()?;
        let (_, block) = &self.packed[place];
        let row = packed_rows::range_of(block, number);
        (!row.is_empty()).then(|| RowBytes { block: Arc::clone(block), row })
    }
}

/// The rows of blocks that have keys of their own.
fn own_rows(
    snapshot: &ReadSnapshot<'_>,
    blocks: &Range<u32>,
) -> Result<Vec<(u32, StorageValue)>, StorageError> {
    let numbers = packed_rows::numbers_of(blocks);
    let (from, to) = (record_key(numbers.start), record_key(numbers.end));
    let pairs = snapshot.scan(&from, &to, false, numbers.len())?;
    Ok(pairs
        .into_iter()
        .filter_map(|(key, row)| Some((packed_rows::number_in(&key)?, Arc::new(row))))
        .collect())
}
