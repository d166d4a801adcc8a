//! Batches of the journal that can be read, and are not what their streams' hash chains say.
//!
//! Law: a batch of which the index holds another one is in question, and not the one behind it, which may only tell of it:
//! an event's own hash, its stream and its version can be altered, too.
//!
//! Called by `look`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::error::{Damage, ReadError};
use crate::files::Files;
use crate::journal::format::GroupHeader;
use crate::journal::reader::GroupPlace;
use crate::journal::salvage::SalvageItem;
use crate::journal::tail::ExpectedJournal;
use crate::journal::{format, salvage};
use crate::record;
use crate::sled::Index;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;

/// Differing batches that are named.
const DAMAGE_MAX: usize = 1_000;

/// A range of positions, with its last one.
pub(super) type Range = (Position, Position);

/// Whether a position is in one of these ranges, which are in their order.
pub(super) fn is_within(position: Position, ranges: &[Range]) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= position);
    behind.checked_sub(1).is_some_and(|at| position <= ranges[at].1)
}

/// The chains of a journal's streams, as far as its groups were shown.
#[derive(Default)]
pub(super) struct StreamChains {
    ends: HashMap<StreamId, (Version, Hash)>,
    /// The batches that do not follow the one before them.
    broken: Vec<Range>,
}

impl StreamChains {
    /// Goes through the records of a group. Gives the positions of those that can be read, and what is wrong with them or
    /// behind them. `is_whole`: nothing is lost before it.
    pub(super) fn show(
        &mut self,
        group: &GroupHeader,
        place: &GroupPlace<'_>,
        is_whole: bool,
    ) -> (Option<Range>, Vec<Damage>) {
        let (mut next, mut damage) = (group.first_position, Vec::new());
        let at = |what: String, positions: Range| Damage {
            file: place.path.to_owned(),
            offset: place.offset,
            what,
            positions: Some(positions),
        };
        for bytes in format::records(place.body) {
            let decoded = bytes.and_then(|bytes| record::decode(bytes, next, group.committed_at));
            let (head, events) = match decoded {
                Ok(decoded) => decoded,
                Err(what) => {
                    damage.push(at(what, (next, Position(group.next_position().0 - 1))));
                    break;
                }
            };
            let range = (next, Position(next.0 + u64::from(head.count) - 1));
            next = range.1.next();
            let (version, hash) = self.ends.get(&head.stream).copied().unwrap_or((Version::ZERO, Hash::ZERO));
            let what = match head.first_version == version.next() {
                true => record::first_unlinked(&events, hash).map(|version| {
                    format!("event {version} of {} is not linked to the event before it", head.stream)
                }),
                // Behind what is lost nothing can be said.
                false => is_whole.then(|| {
                    format!("event {} of {} follows event {version}", head.first_version, head.stream)
                }),
            };
            if let Some(what) = what {
                damage.push(at(what, range));
                self.broken.push(range);
            }
            if let Some(last) = events.last() {
                self.ends.insert(head.stream, (last.header.version, last.hash));
            }
        }
        ((next > group.first_position).then(|| (group.first_position, Position(next.0 - 1))), damage)
    }

    /// The streams of the batches that were shown.
    pub(super) fn streams(&self) -> BTreeSet<StreamId> {
        self.ends.keys().cloned().collect()
    }

    /// The batches that do not follow the one before them.
    pub(super) fn into_broken(self) -> Vec<Range> {
        self.broken
    }
}

/// Batches of the journal in whose place the index has another one, or none.
#[derive(Default)]
pub(super) struct Differing {
    pub(super) ranges: Vec<Range>,
    /// The first of them in words.
    pub(super) damage: Vec<Damage>,
}

/// Compares the batches of the journal with those of the index, as far as these can be read.
pub(super) fn differing(
    files: &dyn Files,
    journal: &Path,
    expected: ExpectedJournal,
    index: &Index,
) -> Result<Differing, ReadError> {
    let (mut differing, last) = (Differing::default(), index.held());
    salvage::walk(files, journal, expected, last, &mut |found| {
        let SalvageItem::Group(group, place) = found else { return Ok(()) };
        let mut next = group.first_position;
        for bytes in format::records(place.body).map_while(Result::ok) {
            let Ok((head, _)) = record::decode_outline(bytes) else { break };
            let range = (next, Position(next.0 + u64::from(head.count) - 1));
            next = range.1.next();
            // What cannot be read there says nothing of the journal.
            let Ok(held) = index.batch(&head.stream, head.first_version) else { continue };
            let is_held = held.is_some_and(|(place, held)| place.first_position == range.0 && held == bytes);
            if is_held || range.1 > last {
                continue;
            }
            differing.ranges.push(range);
            if differing.damage.len() < DAMAGE_MAX {
                let what = "the index holds another batch in this place, or none".to_owned();
                let (file, offset) = (place.path.to_owned(), place.offset);
                differing.damage.push(Damage { file, offset, what, positions: Some(range) });
            }
        }
        Ok(())
    })?;
    Ok(differing)
}
