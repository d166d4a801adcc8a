//! What a journal lacks, from the journal of another copy of the store.
//!
//! Law: nothing is taken from a copy whose history is another one: each batch that both can read is the same, but for those
//! up to the last one that breaks its stream's chain.
//!
//! Called by `look`.

use std::collections::BTreeMap;
use std::path::Path;

use super::steps::{LaterHistory, RepairError};
use super::stream_chains::{Range, is_within};
use crate::error::ReadError;
use crate::files::Files;
use crate::journal::format::GroupHeader;
use crate::journal::reader::GroupPlace;
use crate::journal::salvage::SalvageItem;
use crate::journal::tail::ExpectedJournal;
use crate::journal::{format, recover, salvage};
use crate::lock;
use crate::lock::FolderLock;
use crate::manifest;
use crate::paths::journal_folder;
use crate::record;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Bytes that are taken from a copy at most, since they are kept in memory: of a store that lacks more, the copy is the
/// better one.
const COPIED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The batches of a journal, in their order: the first position of each, and the beginning of a hash of its bytes.
#[derive(Default)]
pub(super) struct BatchDigests(Vec<(Position, [u8; 8])>);

impl BatchDigests {
    /// Those of a group, as far as they can be read.
    pub(super) fn add(&mut self, group: &GroupHeader, place: &GroupPlace<'_>) {
        for batch in batches(group, place) {
            self.0.push((batch.range.0, digest(batch.bytes)));
        }
    }

    fn of(&self, position: Position) -> Option<[u8; 8]> {
        let found = self.0.binary_search_by_key(&position, |(position, _)| *position);
        found.ok().map(|at| self.0[at].1)
    }
}

fn digest(bytes: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&Hash::of(bytes).0[..8]);
    short
}

/// A batch of a group.
struct OutlinedBatch<'a> {
    range: Range,
    stream: StreamId,
    version: Version,
    bytes: &'a [u8],
}

fn batches<'a>(group: &GroupHeader, place: &GroupPlace<'a>) -> impl Iterator<Item = OutlinedBatch<'a>> {
    let mut next = group.first_position;
    format::records(place.body).map_while(move |bytes| {
        let bytes = bytes.ok()?;
        let (head, _) = record::decode_outline(bytes).ok()?;
        let range = (next, Position(next.0 + u64::from(head.count) - 1));
        next = range.1.next();
        Some(OutlinedBatch { range, stream: head.stream, version: head.first_version, bytes })
    })
}

/// A batch of the copy, which the new journal takes.
pub(super) struct CopiedBatch {
    pub(super) last: Position,
    pub(super) stream: StreamId,
    pub(super) version: Version,
    pub(super) committed_at: Timestamp,
    pub(super) bytes: Vec<u8>,
}

/// What a copy has that the journal lacks, or has otherwise.
#[derive(Default)]
pub(super) struct CopiedBatches {
    pub(super) missing: BTreeMap<Position, CopiedBatch>,
    pub(super) differing: BTreeMap<Position, CopiedBatch>,
    /// What it has behind the end of the journal.
    pub(super) later: Option<LaterHistory>,
    /// The store that it is of, as far as it says so.
    pub(super) store: Option<u128>,
}

/// The journal with which a copy is compared.
pub(super) struct OwnJournal<'a> {
    /// The data folder, which the caller has locked.
    pub(super) folder: &'a Path,
    pub(super) digests: BatchDigests,
    /// The positions that it lacks.
    pub(super) missing: &'a [Range],
    /// Where its last batch stands that breaks its chain.
    pub(super) broken: Option<Position>,
    /// The last position that it had, as far as it is known.
    pub(super) end: Position,
    /// Its end is lost, or nothing says where it was: what the copy has behind `end` is missing, too.
    pub(super) may_go_on: bool,
}

/// Compares the journal of a copy with this one.
///
/// # Errors
/// [`RepairError`]: the copy is in use or is the folder itself, cannot be read, is of another store, or has another history.
pub(super) fn compare(
    files: &dyn Files,
    copy: &Path,
    expected: ExpectedJournal,
    ours: &OwnJournal<'_>,
) -> Result<CopiedBatches, RepairError> {
    if lock::is_same(ours.folder, copy) {
        return Err(RepairError::Itself { copy: copy.to_owned() });
    }
    let _lock = FolderLock::look_beside(copy, Some(ours.folder))?;
    let known = manifest::read_known(copy)?.and_then(Result::ok);
    let journal = journal_folder(copy);
    let store = |said: Option<u128>, journal: &Path| match said {
        Some(store) => Ok(Some(store)),
        None => recover::store_named(files, journal),
    };
    let ours_of = store(expected.store, &journal_folder(ours.folder))?;
    let theirs = store(manifest::expected(copy, known.as_ref())?.store, &journal)?;
    if ours_of.is_some_and(|ours| theirs.is_some_and(|theirs| theirs != ours)) {
        return Err(RepairError::OtherStore { copy: copy.to_owned() });
    }
    let (mut bytes, mut refused) = (0, None);
    let mut copied = CopiedBatches { store: theirs, ..CopiedBatches::default() };
    salvage::walk(files, &journal, expected, Position(u64::MAX - 1), &mut |found| {
        let SalvageItem::Group(group, place) = found else { return Ok(()) };
        for batch in batches(&group, &place) {
            let position = batch.range.0;
            if position > ours.end && !ours.may_go_on {
                copied.later = Some(LaterHistory::with(copied.later.take(), batch.range));
                continue;
            }
            let is_missing = position > ours.end || is_within(position, ours.missing);
            if !is_missing && ours.digests.of(position).is_none_or(|known| known == digest(batch.bytes)) {
                continue;
            }
            if !is_missing && ours.broken.is_none_or(|broken| position > broken) {
                refused.get_or_insert(RepairError::OtherHistory { copy: copy.to_owned(), position });
                // Nothing of it counts.
                return Err(ReadError::Closed);
            }
            bytes += batch.bytes.len();
            if bytes > COPIED_BYTES_MAX {
                refused.get_or_insert(RepairError::TooMuch { copy: copy.to_owned() });
                return Err(ReadError::Closed);
            }
            let (last, committed_at) = (batch.range.1, group.committed_at);
            let OutlinedBatch { stream, version, .. } = batch;
            let batch = CopiedBatch { last, stream, version, committed_at, bytes: batch.bytes.to_vec() };
            let part = if is_missing { &mut copied.missing } else { &mut copied.differing };
            part.insert(position, batch);
        }
        Ok(())
    })
    .map_err(|error| refused.take().unwrap_or_else(|| error.into()))?;
    Ok(copied)
}
