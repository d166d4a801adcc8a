//! Batches of the journal that can be read, and are not what their streams' hash chains say.
//!
//! Law: where the index holds another batch in such a stream, that one is in question, and not the one behind it, which may
//! only tell of it: an event's own hash can be altered, too.
//!
//! Called by `look`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::error::{Damage, ReadError};
use crate::files::Files;
use crate::journal::format::GroupHeader;
use crate::journal::reader::GroupPlace;
use crate::journal::salvage::SalvageItem;
use crate::journal::{format, salvage};
use crate::record;
use crate::sled::Index;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;

/// A range of positions, with its last one.
pub(super) type Range = (Position, Position);

/// The chains of a journal's streams, as far as its groups were shown.
#[derive(Default)]
pub(super) struct StreamChains {
    ends: HashMap<StreamId, (Version, Hash)>,
    /// The batches that do not follow the one before them.
    broken: BTreeMap<StreamId, Vec<Range>>,
}

impl StreamChains {
    /// Goes through the records of a group. Gives the positions of those that can be read, and what is wrong with them or
    /// behind them.
    pub(super) fn show(
        &mut self,
        group: &GroupHeader,
        place: &GroupPlace<'_>,
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
            // Behind what is lost nothing can be said.
            if head.first_version == version.next()
                && let Some(version) = record::first_unlinked(&events, hash)
            {
                let what = format!("event {version} of {} is not linked to the event before it", head.stream);
                damage.push(at(what, range));
                self.broken.entry(head.stream.clone()).or_default().push(range);
            }
            if let Some(last) = events.last() {
                self.ends.insert(head.stream, (last.header.version, last.hash));
            }
        }
        ((next > group.first_position).then(|| (group.first_position, Position(next.0 - 1))), damage)
    }

    /// Whether every batch follows the one before it.
    pub(super) fn are_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// What of the broken streams is to be taken from the index, where that can be asked.
    pub(super) fn altered(
        self,
        files: &dyn Files,
        journal: &Path,
        store: Option<u128>,
        index: Option<&Index>,
    ) -> Result<Altered, ReadError> {
        let mut altered = Altered::default();
        let mut differing: BTreeSet<StreamId> = BTreeSet::new();
        if let (Some(index), false) = (index, self.are_whole()) {
            let last = Position(u64::MAX - 1);
            salvage::walk(files, journal, store, last, &mut |found| {
                let SalvageItem::Group(group, place) = found else { return Ok(()) };
                let mut next = group.first_position;
                for bytes in format::records(place.body).map_while(Result::ok) {
                    let Ok((head, _)) = record::decode_outline(bytes) else { break };
                    let range = (next, Position(next.0 + u64::from(head.count) - 1));
                    next = range.1.next();
                    if self.broken.contains_key(&head.stream)
                        && let Some((_, held)) = index.batch(&head.stream, head.first_version)?
                        && held != bytes
                    {
                        altered.replaced.push(range);
                        differing.insert(head.stream);
                    }
                }
                Ok(())
            })?;
        }
        let equal = self.broken.into_iter().filter(|(stream, _)| !differing.contains(stream));
        altered.lost = equal.flat_map(|(_, ranges)| ranges).collect();
        Ok(altered)
    }
}

/// Batches of the journal that are not what was written.
#[derive(Default)]
pub(super) struct Altered {
    /// The index holds others in their places.
    pub(super) replaced: Vec<Range>,
    /// The index holds the same, or cannot be asked.
    pub(super) lost: Vec<Range>,
}
