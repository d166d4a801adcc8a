//! Rows of a snapshot, read one after the other: what lies together is read together.
//!
//! Law: a row is what the snapshot has under the row's own key, else what it has among the others of its block. What is kept
//! of a block stays true while the snapshot is held: what a checkpoint moves meanwhile stands above the storage until then.

use std::borrow::Cow;
use std::cell::RefCell;

use super::fold::record_key;
use super::packed_rows;
use super::record::RowRecord;
use crate::projection::FoldError;
use crate::snapshot::{KeyReader as _, ReadSnapshot};
use crate::storage::{StorageError, StoredPair};

/// Reads rows by their numbers; always of the same snapshot.
#[derive(Default)]
pub(super) struct RowReader {
    last: RefCell<Option<ReadBlock>>,
}

/// The block of the row that was read last.
struct ReadBlock {
    number: u32,
    /// Its rows that have keys of their own; `None` until a second row of the block is wanted.
    own: Option<Vec<StoredPair>>,
    packed: Option<Vec<u8>>,
}

impl RowReader {
    /// A row; `None` where there is none of this number.
    pub(super) fn read(
        &self,
        snapshot: &ReadSnapshot<'_>,
        number: u32,
    ) -> Result<Option<RowRecord>, FoldError> {
        let block = packed_rows::block_of(number);
        let mut last = self.last.borrow_mut();
        match last.as_mut().filter(|kept| kept.number == block) {
            Some(kept) => kept.row(snapshot, number),
            None => {
                if let Some(bytes) = snapshot.get(&record_key(number))? {
                    return RowRecord::shown_row(&bytes).map(Some);
                }
                let packed = packed_rows::stored(snapshot, block)?.map(Cow::into_owned);
                last.insert(ReadBlock { number: block, own: None, packed }).packed(number)
            }
        }
    }
}

impl ReadBlock {
    fn row(&mut self, snapshot: &ReadSnapshot<'_>, number: u32) -> Result<Option<RowRecord>, FoldError> {
        let own = match &mut self.own {
            Some(own) => own,
            none => none.insert(own_rows(snapshot, self.number)?),
        };
        let key = record_key(number);
        match own.iter().find(|(of, _)| *of == key) {
            Some((_, bytes)) => RowRecord::shown_row(bytes).map(Some),
            None => self.packed(number),
        }
    }

    fn packed(&self, number: u32) -> Result<Option<RowRecord>, FoldError> {
        let row = self.packed.as_ref().map_or(&[][..], |bytes| packed_rows::row_of(bytes, number));
        (!row.is_empty()).then(|| RowRecord::shown_row(row)).transpose()
    }
}

/// The rows of a block that have keys of their own.
fn own_rows(snapshot: &ReadSnapshot<'_>, block: u32) -> Result<Vec<StoredPair>, StorageError> {
    let numbers = packed_rows::numbers_of(block);
    let (from, to) = (record_key(numbers.start), record_key(numbers.end));
    snapshot.scan(&from, &to, false, numbers.len())
}
