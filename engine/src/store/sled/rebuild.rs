//! Brings the index up to the journal: from its tail after a kill, from its start after damage.
//!
//! Law: the result depends on the journal alone. Stopped half-way, it goes on from the position that
//! the index holds.
//!
//! Called when a store is opened, and when the index failed under way.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Index, IndexBatch, IndexEntry, IndexError};
use crate::envelope::StreamId;
use crate::id::Position;
use crate::store::files::Files;
use crate::store::journal::format;
use crate::store::journal::reader::JournalGroups;
use crate::store::journal::segment::Segments;
use crate::store::judge::{DedupRecord, HeadRecord};
use crate::store::{Appended, Damage, Progress, ReadError, StreamNote, record};
use crate::time::Timestamp;

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
    let mut pending = Pending::new(index, held, fresh);
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
            let went = Appended {
                first_version: head.first_version,
                first_position: position,
                count: head.count,
                committed_at: group.committed_at,
                repeated: false,
            };
            if position >= next {
                pending.add(bytes, &head, hash, &went, now)?;
            }
            position = went.last_position().next();
        }
        next = position;
        if pending.is_large() {
            pending.write(Position(next.0 - 1))?;
            progress(Progress::Index { done: Position(next.0 - 1), of: last });
        }
    }
    pending.write(Position(next.0 - 1))?;
    Ok(next.0 - held.next().0)
}

/// Changes that wait to be written together.
struct Pending<'a> {
    index: &'a Index,
    /// Nothing was in the index: no head of a new stream need be looked for, and the order of changes
    /// does not matter.
    fresh: bool,
    /// The first position that is not written yet.
    next: Position,
    batch: IndexBatch,
    appends: usize,
    bytes: usize,
    /// What each changed stream's note was in the index, and its new head.
    heads: HashMap<StreamId, (Option<StreamNote>, HeadRecord)>,
}

impl<'a> Pending<'a> {
    fn new(index: &'a Index, held: Position, fresh: bool) -> Self {
        Self {
            index,
            fresh,
            next: held.next(),
            batch: IndexBatch::default(),
            appends: 0,
            bytes: 0,
            heads: HashMap::new(),
        }
    }

    fn is_large(&self) -> bool {
        self.appends >= APPENDS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    fn add(
        &mut self,
        bytes: &[u8],
        head: &record::RecordHead,
        hash: crate::json::Hash,
        went: &Appended,
        now: Timestamp,
    ) -> Result<(), IndexError> {
        let stream = &head.stream;
        self.batch.put_events(&IndexEntry {
            stream,
            first_version: went.first_version,
            first_position: went.first_position,
            committed_at: went.committed_at,
            record: bytes,
        });
        if let Some(dedup) = &head.dedup {
            let entry = DedupRecord::new(dedup, went);
            if entry.is_kept(now) {
                self.batch.put_dedup(&dedup.key, &entry);
            }
        }
        let (noted, seen) = match self.heads.get(stream) {
            Some((noted, seen)) => (*noted, Some(*seen)),
            None if self.fresh && went.first_version == crate::id::Version::FIRST => (None, None),
            None => {
                let seen = self.index.head(stream)?;
                (seen.map(|head| head.note), seen)
            }
        };
        let after = HeadRecord {
            version: went.last_version(),
            hash,
            position: went.last_position(),
            note: head.note,
            fence: head.fence.max(seen.and_then(|head| head.fence)),
        };
        self.heads.insert(stream.clone(), (noted, after));
        self.appends += 1;
        self.bytes += bytes.len();
        Ok(())
    }

    fn write(&mut self, position: Position) -> Result<(), IndexError> {
        let mut batch = std::mem::take(&mut self.batch);
        for (stream, (noted, head)) in self.heads.drain() {
            batch.put_head(&stream, noted.as_ref(), &head);
        }
        (self.appends, self.bytes) = (0, 0);
        let first = std::mem::replace(&mut self.next, position.next());
        match first > position {
            true => Ok(()),
            false if self.fresh => self.index.apply_unordered(batch, first, position),
            false => self.index.apply(batch, first, position),
        }
    }
}
