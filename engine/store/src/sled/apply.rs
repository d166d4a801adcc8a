//! Brings committed appends into the index.
//!
//! Law: the position comes last, and until it is there nothing behind the one before is believed: so
//! an index that was stopped inside a batch is put right by bringing in the same appends again.
//! Readers stop at the position that is held and never look at a batch that is on its way in. (A batch
//! of sled's own would be atomic, but seals two of its buffers and wakes all of its threads each time:
//! ten times the work.)
//!
//! sled writes a leaf of 16 values anew whenever it splits, and after ten changes. So appends that
//! follow one another in a stream share a value, and of keys that will lie side by side first the bare
//! keys go in, then their values: then only keys are written more than once.
//!
//! Called by the index writer, and by the rebuild.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::error::IndexError;
use super::index::Index;
use super::keys;
use super::values;
use super::values::BatchPlace;
use crate::append::{Appended, DedupKeep};
use crate::index_record::{DEDUP_KEPT, DedupRecord, HeadRecord};
use crate::stream_head::StreamNote;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// One append on its way into the index.
pub(crate) struct IndexEntry<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) appended: &'a Appended,
    pub(crate) record: &'a [u8],
    /// The stream's note before it. Only that of a stream's first append in a batch is looked at.
    pub(crate) before: Option<StreamNote>,
    /// The stream's head behind it.
    pub(crate) head: HeadRecord,
}

/// Appends that go into the index together, in the order of their positions.
#[derive(Default)]
pub(crate) struct IndexBatch {
    streams: HashMap<StreamId, StreamPart>,
    dedups: HashMap<Hash, DedupRecord>,
    span: Option<(Position, Position)>,
    appends: usize,
    bytes: usize,
}

/// What a batch brings to one stream.
struct StreamPart {
    before: StreamNote,
    head: HeadRecord,
    /// Appends, joined as long as they fit into a value, each with the first one's version.
    values: Vec<(Version, Vec<u8>)>,
    /// Timers that were set and replaced on the way.
    passed: Vec<Timestamp>,
}

impl IndexBatch {
    /// Takes an append in, which must follow those that are here.
    pub(crate) fn add(&mut self, entry: &IndexEntry<'_>) {
        let IndexEntry { stream, appended, record, before, head } = entry;
        let place =
            BatchPlace { committed_at: appended.committed_at, first_position: appended.first_position };
        if let Some(part) = self.streams.get_mut(*stream) {
            part.passed.extend(listed_wake(&part.head.note));
            part.head = *head;
            match part.values.last_mut() {
                Some((_, value)) if values::fits(value, record) => values::join(value, &place, record),
                _ => part.values.push((appended.first_version, values::joined(&place, record))),
            }
        } else {
            let values = vec![(appended.first_version, values::joined(&place, record))];
            let part =
                StreamPart { before: before.unwrap_or_default(), head: *head, values, passed: Vec::new() };
            self.streams.insert((*stream).clone(), part);
        }
        let first = self.span.map_or(appended.first_position, |(first, _)| first);
        self.span = Some((first, appended.last_position()));
        self.appends += 1;
        self.bytes += record.len();
    }

    /// The entry of an idempotent write.
    pub(crate) fn add_dedup(&mut self, key: Hash, record: DedupRecord) {
        self.dedups.insert(key, record);
    }

    /// The first and the last position.
    pub(crate) fn span(&self) -> Option<(Position, Position)> {
        self.span
    }

    pub(crate) fn appends(&self) -> usize {
        self.appends
    }

    /// Bytes of records.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The head of a stream that something is brought to.
    pub(crate) fn head(&self, stream: &StreamId) -> Option<HeadRecord> {
        self.streams.get(stream).map(|part| part.head)
    }

    /// What is brought to a stream: joined appends, each with the first one's version.
    pub(crate) fn values(&self, stream: &StreamId) -> &[(Version, Vec<u8>)] {
        self.streams.get(stream).map_or(&[], |part| &part.values)
    }

    pub(crate) fn dedup(&self, key: &Hash) -> Option<DedupRecord> {
        self.dedups.get(key).copied()
    }
}

/// A busy stream is loaded at start anyway, so its timer is not listed.
fn listed_wake(note: &StreamNote) -> Option<Timestamp> {
    if note.busy { None } else { note.wake_at }
}

/// What an index may hold behind the position that it says it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing: every batch so far went in whole.
    Nothing,
    /// Parts of a batch, of other appends maybe than those that come now: it was stopped.
    Leftovers,
    /// Nothing, and it is believed only when it is whole: so several threads may fill it.
    NothingAtAll,
}

/// So many values of one stream lie side by side, as those of new streams do.
const SIDE_BY_SIDE: usize = 4;

/// A key and its new value, or none where it goes.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// The changes that a batch means, in the order in which they are made.
#[derive(Default)]
struct Changes {
    /// Keys that get a value later on, so that splits find them empty.
    bare: Vec<Change>,
    events: Vec<Change>,
    /// Idempotency entries, and the lists of the busy and the waiting.
    lists: Vec<Change>,
    /// Last: while a head is the old one, applying again finds the old note in it.
    heads: Vec<Change>,
}

impl Changes {
    fn of(batch: &IndexBatch, behind: Behind) -> Self {
        let mut changes = Self::default();
        for (stream, part) in &batch.streams {
            changes.events(stream, part);
            changes.lists(stream, part, behind == Behind::Leftovers);
            changes.heads.push((keys::head(stream), Some(values::encode_head(&part.head))));
        }
        for (key, record) in &batch.dedups {
            changes.lists.push((keys::dedup(key).to_vec(), Some(values::encode_dedup(record))));
            if record.keep == DedupKeep::Week {
                changes.lists.push((keys::made(record.committed_at, key).to_vec(), Some(Vec::new())));
            }
        }
        for part in [&mut changes.bare, &mut changes.events, &mut changes.heads] {
            part.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        changes
    }

    fn events(&mut self, stream: &StreamId, part: &StreamPart) {
        let begins = part.values.first().is_some_and(|(first, _)| *first == Version::FIRST);
        let together = begins || part.values.len() >= SIDE_BY_SIDE;
        for (version, value) in &part.values {
            values::event_chunks(value, |chunk, piece| {
                let key = keys::batch(stream, *version, chunk);
                if together {
                    self.bare.push((key.clone(), Some(Vec::new())));
                }
                self.events.push((key, Some(piece)));
            });
        }
    }

    /// The stream's places in the lists of the busy and the waiting. Where the index may hold
    /// leftovers, those of former notes go whatever it says.
    fn lists(&mut self, stream: &StreamId, part: &StreamPart, leftovers: bool) {
        let (before, after) = (&part.before, &part.head.note);
        let (old, new) = (listed_wake(before), listed_wake(after));
        if after.busy && (!before.busy || leftovers) {
            self.lists.push((keys::busy(stream), Some(Vec::new())));
        }
        if let Some(at) = new.filter(|_| old != new || leftovers) {
            self.lists.push((keys::wake(at, stream), Some(Vec::new())));
        }
        let passed = part.passed.iter().copied().filter(|_| leftovers);
        for at in old.into_iter().chain(passed).filter(|at| Some(*at) != new) {
            self.lists.push((keys::wake(at, stream), None));
        }
        if !after.busy && (before.busy || leftovers) {
            self.lists.push((keys::busy(stream), None));
        }
    }
}

/// How many expired entries one call removes at most.
const EXPIRED_AT_ONCE: usize = 10_000;

impl Index {
    /// Brings a batch in, which follows what the index holds.
    pub(crate) fn apply(&self, batch: &IndexBatch, behind: Behind) -> Result<(), IndexError> {
        let Some((first, last)) = batch.span else { return Ok(()) };
        let held = self.held.load(Ordering::Acquire);
        if first.0 != held + 1 {
            return Err(IndexError::new(format!("position {first} follows {held} in the index")));
        }
        if behind == Behind::Leftovers {
            self.clear_behind(batch)?;
        }
        let changes = Changes::of(batch, behind);
        if behind == Behind::NothingAtAll {
            self.change_by_two(changes.bare)?;
            self.change_by_two(changes.events)?;
        } else {
            self.change(changes.bare)?;
            self.change(changes.events)?;
        }
        self.change(changes.lists)?;
        self.change(changes.heads)?;
        self.guarded(|db| Ok(db.insert(keys::POSITION, &last.0.to_le_bytes()).map(|_| ())?))?;
        self.held.store(last.0, Ordering::Release);
        Ok(())
    }

    /// Removes what a stopped batch left of the streams of this one: its values may have begun at
    /// other versions.
    fn clear_behind(&self, batch: &IndexBatch) -> Result<(), IndexError> {
        self.guarded(|db| {
            for (stream, part) in &batch.streams {
                let Some((first, _)) = part.values.first() else { continue };
                let behind = keys::batch(stream, *first, 0)..keys::batches(stream).end;
                for key in db.range(behind).keys() {
                    db.remove(key?)?;
                }
            }
            Ok(())
        })
    }

    fn change(&self, changes: Vec<Change>) -> Result<(), IndexError> {
        self.guarded(|db| {
            for (key, value) in changes {
                match value {
                    Some(value) => db.insert(key, value)?,
                    None => db.remove(key)?,
                };
            }
            Ok(())
        })
    }

    /// Makes changes of keys that are all different, by two threads.
    fn change_by_two(&self, mut changes: Vec<Change>) -> Result<(), IndexError> {
        let behind = changes.split_off(changes.len() / 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.change(behind));
            let one = self.change(changes);
            let other = other.join().unwrap_or_else(|_| Err(IndexError::new("a thread panicked")));
            one.and(other)
        })
    }

    /// Removes entries of idempotent writes that may not be repeated any more.
    pub(crate) fn expire(&self, now: Timestamp) -> Result<(), IndexError> {
        self.guarded(|db| {
            for item in db.scan_prefix([keys::MADE]).keys().take(EXPIRED_AT_ONCE) {
                let age = item?;
                let Some((made_at, key)) = keys::made_of(&age) else { continue };
                if now.since(made_at) < DEDUP_KEPT {
                    break;
                }
                // The key may have been used again since; the newer entry stays.
                let entry = db.get(keys::dedup(&key))?.and_then(|value| values::decode_dedup(&value).ok());
                if entry.is_some_and(|entry| entry.committed_at == made_at) {
                    db.remove(keys::dedup(&key))?;
                }
                db.remove(age)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Source;
    use crate::record;

    const CACHE_BYTES: u64 = 8 * 1024 * 1024;

    /// A stream, and its appends: where each appended, its record, and the head behind it.
    type History = (StreamId, Vec<(Appended, Vec<u8>, HeadRecord)>);

    /// Appends of two events to one stream.
    fn history(appends: u64, payload_bytes: usize) -> History {
        let mut source = Source::new(payload_bytes);
        let history = (0..appends)
            .map(|number| {
                let mut append = source.next(2);
                // Waits between its appends, each time for another moment, and for none in the end.
                let wake_at = (number + 1 < appends).then_some(Timestamp(1_000 + number as i64));
                append.note = StreamNote { open: true, busy: false, wake_at };
                let appended = Appended {
                    first_version: append.expected.next(),
                    first_position: Position(2 * number + 1),
                    count: 2,
                    committed_at: Timestamp(number as i64),
                    repeated: false,
                };
                let head = HeadRecord {
                    version: appended.last_version(),
                    hash: append.events[1].hash,
                    position: appended.last_position(),
                    note: append.note,
                    fence: None,
                };
                let mut record = Vec::new();
                record::encode(&append, &mut record);
                (appended, record, head)
            })
            .collect();
        (source.stream().clone(), history)
    }

    /// A batch of the appends of a range.
    fn batch((stream, history): &History, range: std::ops::Range<usize>) -> IndexBatch {
        let mut batch = IndexBatch::default();
        for at in range {
            let (appended, record, head) = &history[at];
            let before = at.checked_sub(1).map(|before| history[before].2.note);
            batch.add(&IndexEntry { stream, appended, record, before, head: *head });
        }
        batch
    }

    fn values(index: &Index) -> usize {
        index.db.scan_prefix([keys::EVENTS]).count()
    }

    fn places(index: &Index) -> Vec<Position> {
        let mut places = Vec::new();
        index.each_place(&mut |position, _, _| places.push(position)).unwrap();
        places
    }

    #[test]
    fn s5_appends_that_come_together_share_a_value_and_each_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), CACHE_BYTES).unwrap();
        let history = history(20, 100);
        index.apply(&batch(&history, 0..5), Behind::Nothing).unwrap();
        index.apply(&batch(&history, 5..20), Behind::Nothing).unwrap();
        assert!(values(&index) < 5, "{}", values(&index));
        assert_eq!(index.held(), Position(40));
        assert_eq!(places(&index), (0..20).map(|at| Position(2 * at + 1)).collect::<Vec<_>>());
        for (appended, record, _) in &history.1 {
            let (place, bytes) = index.batch(&history.0, appended.first_version).unwrap().unwrap();
            assert_eq!((place.first_position, &bytes), (appended.first_position, record));
            assert_eq!(index.batch(&history.0, appended.last_version()).unwrap(), None);
        }
        for from in [1, 2, 7, 11, 40] {
            let events = index.read(&history.0, Version(from), 100, Position(40)).unwrap();
            assert_eq!(events.len() as u64, 41 - from);
            assert_eq!(events[0].header.version, Version(from));
        }
        assert_eq!(index.read(&history.0, Version(4), 3, Position(40)).unwrap().len(), 3);
    }

    #[test]
    fn s5_a_batch_that_was_stopped_leaves_nothing_whatever_comes_in_its_place() {
        let history = history(60, 400);
        // Stopped behind the bare keys, in the middle of the values, in the lists, before the position.
        for stopped in 0..4 {
            for again in [1, 7, 60] {
                let folder = tempfile::tempdir().unwrap();
                let index = Index::open(folder.path(), CACHE_BYTES).unwrap();
                index.apply(&batch(&history, 0..3), Behind::Nothing).unwrap();
                let mut part = Changes::of(&batch(&history, 3..40), Behind::Nothing);
                assert!(part.bare.len() >= SIDE_BY_SIDE && part.bare.len() == part.events.len());
                index.change(part.bare).unwrap();
                if stopped == 1 {
                    part.events.truncate(2);
                }
                if stopped > 0 {
                    index.change(part.events).unwrap();
                }
                if stopped > 1 {
                    index.change(part.lists).unwrap();
                }
                if stopped > 2 {
                    index.change(part.heads).unwrap();
                }
                // Readers see what was there before.
                let seen = index.read(&history.0, Version::FIRST, 1_000, index.held()).unwrap();
                assert_eq!(seen.len(), 6);
                for first in (3..60).step_by(again) {
                    let batch = batch(&history, first..(first + again).min(60));
                    index.apply(&batch, Behind::Leftovers).unwrap();
                }
                let events = index.read(&history.0, Version::FIRST, 1_000, index.held()).unwrap();
                assert_eq!(events.len(), 120, "stopped {stopped}, {again} at once");
                assert_eq!(places(&index).len(), 60);
                assert_eq!(index.next_wake().unwrap(), None);
                assert_eq!(index.due(Timestamp(i64::MAX)).unwrap(), []);
            }
        }
    }

    #[test]
    fn s5_values_of_the_largest_size_stay_in_the_index_s_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), CACHE_BYTES).unwrap();
        let history = history(200, 3_900);
        for first in (0..200).step_by(40) {
            index.apply(&batch(&history, first..first + 40), Behind::Nothing).unwrap();
        }
        assert_eq!(values(&index), 200);
        index.flush().unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
    }
}
