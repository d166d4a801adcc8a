//! Brings the index up to the journal: from its tail after a kill, from its start after damage.
//!
//! Law: the result depends on the journal alone. Stopped half-way, it goes on from the position that
//! the index holds.
//!
//! Called when a store is opened, and when the index failed under way.

use std::sync::Arc;

use super::apply::{Behind, IndexBatch, IndexEntry};
use super::error::IndexError;
use super::index::Index;
use crate::append::Appended;
use crate::error::{Damage, ReadError};
use crate::files::Files;
use crate::index_record::{DedupRecord, HeadRecord};
use crate::journal::format;
use crate::journal::reader::JournalGroups;
use crate::journal::segment::Segments;
use crate::progress::Progress;
use crate::record;
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;

/// Appends that go into the index together.
const APPENDS_AT_ONCE: usize = 16_384;
/// Bytes that go into the index together.
const BYTES_AT_ONCE: usize = 16 * 1024 * 1024;

/// Applies what the journal holds behind the index's position, up to `last`.
///
/// `fresh`: the index began empty and is believed only when it is whole. Returns the number of events
/// that were applied.
pub(crate) fn catch_up(
    index: &Index,
    files: &Arc<dyn Files>,
    segments: &Segments,
    last: Position,
    (now, fresh): (Timestamp, bool),
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<u64, ReadError> {
    let held = index.position()?;
    let mut pending = Pending { index, fresh, batch: IndexBatch::default() };
    let mut groups = JournalGroups::new(files.clone(), segments.clone(), held.next());
    let mut next = held.next();
    while next <= last {
        let Some((group, place)) = groups.next()? else { break };
        let mut position = group.first_position;
        for record in format::records(place.body) {
            let outline = record.and_then(|record| Ok((record, record::decode_outline(record)?)));
            let (bytes, (head, hash)) = outline.map_err(|what| Damage {
                file: place.path.to_owned(),
                offset: place.offset,
                what,
                positions: Some((position, position)),
            })?;
            let appended = Appended {
                first_version: head.first_version,
                first_position: position,
                count: head.count,
                committed_at: group.committed_at,
                repeated: false,
            };
            if position >= next {
                pending.add(bytes, &head, hash, &appended, now)?;
            }
            position = appended.last_position().next();
        }
        next = position;
        if pending.is_large() {
            pending.write()?;
            progress(Progress::Index { done: Position(next.0 - 1), of: last });
        }
    }
    pending.write()?;
    Ok(next.0 - held.next().0)
}

/// Appends that wait to be brought in together.
struct Pending<'a> {
    index: &'a Index,
    /// Nothing was in the index: no head of a new stream need be looked for.
    fresh: bool,
    batch: IndexBatch,
}

impl Pending<'_> {
    fn is_large(&self) -> bool {
        self.batch.appends() >= APPENDS_AT_ONCE || self.batch.bytes() >= BYTES_AT_ONCE
    }

    fn add(
        &mut self,
        bytes: &[u8],
        head: &record::RecordHead,
        hash: everfold_base::json::Hash,
        appended: &Appended,
        now: Timestamp,
    ) -> Result<(), IndexError> {
        if let Some(dedup) = &head.dedup {
            let entry = DedupRecord::new(dedup, appended);
            if entry.is_kept(now) {
                self.batch.add_dedup(dedup.key, entry);
            }
        }
        let seen = match self.batch.head(&head.stream) {
            Some(seen) => Some(seen),
            None if self.fresh && appended.first_version == Version::FIRST => None,
            None => self.index.head(&head.stream)?,
        };
        let after = HeadRecord {
            version: appended.last_version(),
            hash,
            position: appended.last_position(),
            note: head.note,
            fence: head.fence.max(seen.and_then(|head| head.fence)),
        };
        let before = seen.map(|head| head.note);
        self.batch.add(&IndexEntry { stream: &head.stream, appended, record: bytes, before, head: after });
        Ok(())
    }

    fn write(&mut self) -> Result<(), IndexError> {
        let behind = if self.fresh { Behind::NothingAtAll } else { Behind::Leftovers };
        self.index.apply(&std::mem::take(&mut self.batch), behind)
    }
}
