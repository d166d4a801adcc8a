//! The walk of a verification: every group, every event, then what is derived from them.
//!
//! Law: what the index should say is computed from the journal alone, and compared.
//!
//! Called by `verify_folder` and `verify_open`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::index_source::IndexSource;
use super::meaning::Meaning;
use super::report::{VerifyFault, VerifyReport};
use crate::append::Appended;
use crate::blob::{BlobError, BlobStore};
use crate::error::{Damage, ReadError};
use crate::index_record::{DedupRecord, HeadRecord};
use crate::journal::recover::TornTail;
use crate::journal::salvage::{SalvageItem, WalkEnd};
use crate::journal::tail::ExpectedJournal;
use crate::journal::{format, salvage};
use crate::options::SledOptions;
use crate::progress::Progress;
use crate::record;
use crate::sled::Index;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// A verification under way.
pub(super) struct Verification<'a> {
    pub(super) report: VerifyReport,
    meaning: &'a mut dyn Meaning,
    index: IndexSource<'a>,
    options: &'a SledOptions,
    last: Position,
    heads: HashMap<StreamId, HeadRecord>,
    dedups: HashMap<Hash, DedupRecord>,
    batches: u64,
    named_blobs: HashSet<(RunId, Hash)>,
    indexed: Position,
    /// What stands behind the last whole group, where that is something.
    unfinished: Option<TornTail>,
}

impl<'a> Verification<'a> {
    pub(super) fn new(
        report: VerifyReport,
        meaning: &'a mut dyn Meaning,
        index: IndexSource<'a>,
        options: &'a SledOptions,
        last: Position,
    ) -> Self {
        let indexed = index.get().map_or(Position::ZERO, |index| index.held());
        Self {
            report,
            meaning,
            index,
            options,
            last,
            heads: HashMap::new(),
            dedups: HashMap::new(),
            batches: 0,
            named_blobs: HashSet::new(),
            indexed,
            unfinished: None,
        }
    }

    /// Every group, every event.
    pub(super) fn journal(&mut self, folder: &Path, expected: ExpectedJournal) -> Result<WalkEnd, ReadError> {
        let files = self.options.files.clone();
        let progress = self.options.progress.clone();
        let last = self.last;
        let known = self.indexed;
        let mut shown = Position::ZERO;
        let end = salvage::walk(files.as_ref(), folder, expected, last, &mut |found| {
            match found {
                SalvageItem::Lost(damage) | SalvageItem::Lengths { damage, .. } => {
                    self.report.fault(VerifyFault::Journal(damage));
                }
                SalvageItem::Padding(torn) => {
                    self.report.fault(VerifyFault::Journal(torn.between_groups()));
                }
                SalvageItem::Behind(torn) => self.report.notes.push(torn.behind_segment()),
                SalvageItem::Unfinished(torn) => self.unfinished = Some(torn),
                SalvageItem::Unused(what) => {
                    self.report.notes.push(format!("{what}: the next start writes them anew"));
                }
                SalvageItem::Group(group, place) => {
                    self.report.groups += 1;
                    let mut first = group.first_position;
                    for bytes in format::records(place.body) {
                        let decoded = bytes
                            .and_then(|bytes| Ok((bytes, record::decode(bytes, first, group.committed_at)?)));
                        match decoded {
                            Ok((bytes, (head, events))) => {
                                first = Position(first.0 + events.len() as u64);
                                self.batch(bytes, &head, &events);
                            }
                            Err(what) => {
                                let positions = Some((first, Position(group.next_position().0 - 1)));
                                let (file, offset) = (place.path.to_owned(), place.offset);
                                self.report.fault(VerifyFault::Journal(Damage {
                                    file,
                                    offset,
                                    what,
                                    positions,
                                }));
                                break;
                            }
                        }
                    }
                    if first.0 >= shown.0 + 10_000 {
                        shown = first;
                        progress(Progress::Verify { done: first, of: known.max(first) });
                    }
                }
            }
            Ok(())
        })?;
        // What follows is short beside it.
        let done = end.next.max(known);
        progress(Progress::Verify { done, of: done });
        Ok(end)
    }

    /// Compares the end of the journal with how far it is known to have gone, and says what stands behind that end: it was never
    /// acknowledged only where nothing knows of more. `is_closed`: the store was closed in order, which leaves nothing there.
    pub(super) fn end_at(&mut self, end: &WalkEnd, known: &[(Position, &str)], is_closed: bool) {
        let mut is_cut = false;
        for (position, what) in known {
            if *position >= end.next {
                is_cut = true;
                let place = end.place.as_ref().map(|(file, byte)| {
                    format!("; the last group ends at byte {byte} of {}", file.display())
                });
                let what = format!("{what}{}", place.unwrap_or_default());
                self.report.fault(VerifyFault::Missing { first: end.next, last: *position, what });
            }
        }
        match self.unfinished.take() {
            None => {}
            Some(torn) if is_cut => self.report.notes.push(torn.of_what_is_missing()),
            Some(torn) if is_closed => self.report.fault(VerifyFault::Journal(torn.behind_close())),
            Some(torn) => self.report.notes.push(torn.to_string()),
        }
    }

    /// One append of the journal.
    fn batch(&mut self, bytes: &[u8], head: &record::RecordHead, events: &[Envelope]) {
        let stream = &head.stream;
        let before = self.heads.get(stream).copied();
        let (mut version, mut hash) = before.map_or((Version::ZERO, Hash::ZERO), |h| (h.version, h.hash));
        for event in events {
            let at = |what: String| VerifyFault::Event {
                stream: stream.clone(),
                version: event.header.version,
                position: event.position,
                what,
            };
            if event.header.version != version.next() {
                self.report.fault(at(format!("it follows version {version}")));
            } else if !event.is_linked(&hash) {
                self.report.fault(at("it is not linked to the event before it".into()));
            }
            if let Err(what) = self.meaning.event(event) {
                self.report.fault(at(what));
            }
            self.named_blobs.extend(self.meaning.blobs(event));
            (version, hash) = (event.header.version, event.hash);
        }
        let Some((first, last)) = events.first().zip(events.last()) else { return };
        self.report.events += events.len() as u64;
        self.batches += 1;
        let after = HeadRecord {
            version,
            hash,
            position: last.position,
            note: head.note,
            fence: head.fence.max(before.and_then(|head| head.fence)),
        };
        if before.is_none() {
            self.report.streams += 1;
        }
        self.heads.insert(stream.clone(), after);
        if let Some(dedup) = &head.dedup {
            let appended = Appended {
                first_version: head.first_version,
                first_position: first.position,
                count: head.count,
                committed_at: first.committed_at,
                repeated: false,
            };
            self.dedups.insert(dedup.key, DedupRecord::new(dedup, &appended));
        }
        if last.position <= self.indexed
            && let Some(index) = self.index.get()
        {
            self.indexed_batch(&index, stream, head.first_version, first, bytes);
        }
    }

    fn indexed_batch(
        &mut self,
        index: &Index,
        stream: &StreamId,
        first_version: Version,
        first: &Envelope,
        bytes: &[u8],
    ) {
        let what = match index.batch(stream, first_version) {
            Ok(Some((place, held)))
                if held == bytes
                    && place.first_position == first.position
                    && place.committed_at == first.committed_at =>
            {
                return;
            }
            Ok(Some(_)) => "is not what the journal holds".to_owned(),
            Ok(None) => "is missing".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = format!("the batch of {stream} from version {first_version} {what}");
        self.report.fault(VerifyFault::Index { what });
    }

    /// Heads, lists, idempotency entries and snapshots. Where the index is behind, or goes on beside
    /// this, what lies behind `known` is left out.
    pub(super) fn index_to(&mut self, known: Option<Position>) {
        if self.index.is_replaced() {
            let note =
                "the index was built again meanwhile and not compared to its end: verify once more for that";
            self.report.notes.push(note.to_owned());
        }
        let Some(index) = self.index.get() else { return };
        let now = (self.options.clock)();
        let compared = index.compare(&self.heads, &self.dedups, self.batches, known, now);
        match compared {
            Ok(faults) => faults.into_iter().for_each(|what| self.report.fault(VerifyFault::Index { what })),
            Err(error) => self.report.fault(VerifyFault::Index { what: error.to_string() }),
        }
        let (report, meaning) = (&mut self.report, &mut self.meaning);
        let visited = index.each_snapshot(&mut |stream, snapshot| {
            report.snapshots += 1;
            let checked = snapshot.and_then(|snapshot| meaning.snapshot(&stream, &snapshot));
            if let Err(what) = checked {
                report.fault(VerifyFault::Snapshot { stream, what });
            }
        });
        if let Err(error) = visited {
            self.report.fault(VerifyFault::Index { what: error.to_string() });
        }
    }

    /// Every blob that is there, and every one that is named.
    pub(super) fn blobs(&mut self, blobs: &BlobStore) {
        let mut check = |run: RunId, hash: Hash, named: bool| {
            if named {
                self.report.blobs += 1;
            }
            match blobs.get_blocking(run, &hash) {
                Ok(_) => {}
                Err(BlobError::Missing { .. }) if named => {}
                Err(error) => {
                    self.report.fault(VerifyFault::Blob { run, hash, what: cause(&error) });
                }
            }
        };
        let mut present = HashSet::new();
        let mut unread = Vec::new();
        let runs = blobs.runs().unwrap_or_else(|error| {
            unread.push(error);
            Vec::new()
        });
        for run in runs {
            let hashes = blobs.list(run).unwrap_or_else(|error| {
                unread.push(error);
                Vec::new()
            });
            for hash in hashes {
                present.insert((run, hash));
                check(run, hash, true);
            }
        }
        for (run, hash) in std::mem::take(&mut self.named_blobs) {
            if !present.contains(&(run, hash)) {
                check(run, hash, false);
            }
        }
        for error in unread {
            self.report.fault(VerifyFault::BlobFolder { what: cause(&error) });
        }
    }
}

/// What happened, with what the operating system says of it.
fn cause(error: &BlobError) -> String {
    match error {
        BlobError::Io { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}

/// What the index lacks or has too much, compared with what the journal says.
impl Index {
    fn compare(
        &self,
        heads: &HashMap<StreamId, HeadRecord>,
        dedups: &HashMap<Hash, DedupRecord>,
        batches: u64,
        known: Option<Position>,
        now: Timestamp,
    ) -> Result<Vec<String>, ReadError> {
        let mut faults = Vec::new();
        let is_known = |position: Position| known.is_none_or(|known| position <= known);
        let mut seen = 0;
        self.each_head(&mut |stream, head| match (heads.get(&stream), head) {
            (_, Err(what)) => faults.push(format!("the head of {stream}: {what}")),
            (Some(expected), Ok(head)) => {
                seen += 1;
                if *expected != head && is_known(expected.position) && is_known(head.position) {
                    faults.push(format!("the head of {stream} is not what the journal says"));
                }
            }
            (None, Ok(head)) if is_known(head.position) => {
                faults.push(format!("{stream} is not in the journal"));
            }
            (None, Ok(_)) => {}
        })?;
        let expected = heads.values().filter(|head| is_known(head.position)).count();
        if seen < expected {
            faults.push(format!("{} streams are missing", expected - seen));
        }
        if known.is_none() {
            let mut held = 0;
            self.each_place(&mut |_, _, _| held += 1)?;
            if held != batches {
                faults.push(format!("{held} batches are there, and {batches} in the journal"));
            }
            self.compare_lists(heads, &mut faults)?;
        }
        for (key, expected) in dedups {
            if expected.is_kept(now)
                && is_known(expected.first_position)
                && self.dedup(key)?.as_ref() != Some(expected)
            {
                let position = expected.first_position;
                faults.push(format!("the idempotency entry of position {position} is not what was written"));
            }
        }
        Ok(faults)
    }

    fn compare_lists(
        &self,
        heads: &HashMap<StreamId, HeadRecord>,
        faults: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        let due: HashSet<StreamId> = self.due(Timestamp(i64::MAX))?.into_iter().collect();
        for (stream, head) in heads {
            let listed = head.note.busy || head.note.wake_at.is_some();
            if listed != due.contains(stream) {
                faults.push(format!("{stream} is {}listed as due", if listed { "not " } else { "" }));
            }
        }
        let wake = heads.values().filter(|head| !head.note.busy).filter_map(|head| head.note.wake_at).min();
        if self.next_wake()? != wake {
            faults.push("the earliest timer is not what the journal says".into());
        }
        Ok(())
    }
}
