//! Verification of a whole store: journal, chains, index, blobs, snapshots.
//!
//! Law: changes nothing, ends at no fault, and names each one. What events mean is asked of the
//! caller through [`Meaning`].
//!
//! Called by `everfold store verify`, on a closed folder or beside a running store.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blob::{BlobError, BlobStore};
use super::journal::format;
use super::journal::salvage::{self, Found};
use super::judge::{DedupRecord, HeadRecord};
use super::lock::FolderLock;
use super::mark::{self, IndexState};
use super::renew::{self, INDEX_FOLDER, remove_folder};
use super::shared::Shared;
use super::sled::Index;
use super::{
    Appended, Damage, OpenError, Progress, ReadError, SledOptions, SledStore, Snapshot, open, record,
};
use crate::envelope::{Envelope, StreamId};
use crate::id::{Position, RunId, Version};
use crate::json::Hash;
use crate::time::Timestamp;

/// Faults that a report lists; more are counted.
const FAULTS_MAX: usize = 1_000;

/// What the caller knows about stored bytes.
pub trait Meaning: Send {
    /// Checks one event: that it decodes, and follows from the stream's state. Called in the order of
    /// the positions.
    ///
    /// # Errors
    /// What is wrong with it.
    fn event(&mut self, event: &Envelope) -> Result<(), String>;

    /// The blobs that an event names.
    fn blobs(&mut self, event: &Envelope) -> Vec<(RunId, Hash)>;

    /// Checks a snapshot against the fold of the stream's events, which have all been shown.
    ///
    /// # Errors
    /// What is wrong with it.
    fn snapshot(&mut self, stream: &StreamId, snapshot: &Snapshot) -> Result<(), String>;
}

/// Knows nothing: bytes alone are verified.
pub struct NoMeaning;

impl Meaning for NoMeaning {
    fn event(&mut self, _event: &Envelope) -> Result<(), String> {
        Ok(())
    }

    fn blobs(&mut self, _event: &Envelope) -> Vec<(RunId, Hash)> {
        Vec::new()
    }

    fn snapshot(&mut self, _stream: &StreamId, _snapshot: &Snapshot) -> Result<(), String> {
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The journal is damaged.
    #[error("{0}{lost}", lost = lost(&.0.positions))]
    Journal(Damage),
    /// Events that were durable are not there.
    #[error("positions {first} to {last} are missing: {what}")]
    Missing {
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
        /// How that is known.
        what: String,
    },
    /// An event does not follow the one before it, or its payload or header was changed.
    #[error("{stream} at version {version} (position {position}): {what}")]
    Event {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: Version,
        /// Its position.
        position: Position,
        /// What is wrong.
        what: String,
    },
    /// The index does not say what the journal says; it can be built again.
    #[error("the index: {what}")]
    Index {
        /// What is wrong.
        what: String,
    },
    /// A snapshot is not what the events say; it is not needed.
    #[error("the snapshot of {stream}: {what}")]
    Snapshot {
        /// The stream.
        stream: StreamId,
        /// What is wrong.
        what: String,
    },
    /// A blob is missing or not what its name says.
    #[error("{what}")]
    Blob {
        /// The run.
        run: RunId,
        /// The blob.
        hash: Hash,
        /// What is wrong.
        what: String,
    },
    /// The store's own description is damaged.
    #[error("{file}: {what}", file = file.display())]
    Description {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
}

fn lost(positions: &Option<(Position, Position)>) -> String {
    match positions {
        Some((first, last)) if first == last => format!("; position {first} is lost or in doubt"),
        Some((first, last)) => format!("; positions {first} to {last} are lost"),
        None => String::new(),
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Groups of the journal.
    pub groups: u64,
    /// Events of the journal.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Blobs.
    pub blobs: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// What is wrong, the first 1,000.
    pub faults: Vec<Fault>,
    /// How many more are wrong.
    pub more_faults: u64,
    /// What is not wrong and worth saying: an unfinished write at the end.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}

/// Verifies a folder that nobody has open. Blocks.
///
/// # Errors
/// Where nothing can be said: the folder is in use, newer, or not readable.
pub fn verify_folder(
    folder: &Path,
    options: &SledOptions,
    meaning: &mut dyn Meaning,
) -> Result<VerifyReport, OpenError> {
    let _lock = FolderLock::take(folder)?;
    let mut report = VerifyReport::default();
    let found = open::read_mark(folder)?;
    let known = match found {
        Some(Ok(mark)) => Some(mark),
        Some(Err(what)) => {
            report.fault(Fault::Description { file: folder.join(mark::FILE_NAME), what });
            None
        }
        None => {
            let what = "it is missing".into();
            report.fault(Fault::Description { file: folder.join(mark::FILE_NAME), what });
            None
        }
    };
    if let Some(mark) = &known
        && let IndexState::Closed { files } = mark.index
        && !renew::digest(&folder.join(INDEX_FOLDER)).is_ok_and(|now| now == files)
    {
        report.fault(Fault::Index { what: "its files are not what they were at the close".into() });
    }
    // On a copy: opening sled changes its files, and a damaged one most of all.
    let copied = IndexCopy::make(folder, options.cache_bytes);
    let index = match &copied {
        Ok(copy) => Some(&copy.index),
        Err(what) => {
            report.fault(Fault::Index { what: what.clone() });
            None
        }
    };
    let journal = open::journal_folder(folder);
    let store = known.as_ref().map(|mark| open::parse_id(&mark.store));
    let last = Position(u64::MAX - 1);
    let mut verification = Verification::new(report, meaning, index, options, last);
    let end = verification.journal(&journal, store).map_err(open::unbuilt)?;
    let durable = known.as_ref().map_or(Position::ZERO, |mark| mark.journal.position);
    let indexed = index.map_or(Position::ZERO, Index::held);
    for (position, what) in
        [(durable, "the store's description says that they were durable"), (indexed, "the index holds them")]
    {
        if position >= end {
            verification.report.fault(Fault::Missing { first: end, last: position, what: what.into() });
        }
    }
    // An index of a killed store is behind, and brought up at the next start.
    verification.index_to(if indexed < end { Some(indexed) } else { None });
    verification.blobs(&BlobStore::with_files(folder, options.files.clone()));
    Ok(verification.report)
}

impl SledStore {
    /// Verifies the store beside its work, up to the last position at the start of the call. Blocks.
    ///
    /// # Errors
    /// Where nothing can be said: the store is closed, or its files are not readable.
    pub fn verify(&self, meaning: &mut dyn Meaning) -> Result<VerifyReport, ReadError> {
        let shared: &Shared = self.shared();
        let index = shared.index()?;
        let last = shared.published.borrow().position;
        let store = open::parse_id(&shared.mark().store);
        let report = VerifyReport::default();
        let mut verification = Verification::new(report, meaning, Some(&index), &shared.options, last);
        verification.journal(&open::journal_folder(&shared.folder), Some(store))?;
        verification.index_to(Some(last));
        verification.blobs(&BlobStore::with_files(&shared.folder, shared.files.clone()));
        Ok(verification.report)
    }
}

/// A copy of a closed index, gone when dropped.
struct IndexCopy {
    index: Index,
    folder: PathBuf,
}

impl IndexCopy {
    fn make(folder: &Path, cache_bytes: u64) -> Result<Self, String> {
        let copy = folder.join("sled.verify.tmp");
        let made = remove_folder(&copy).and_then(|()| copy_folder(&folder.join(INDEX_FOLDER), &copy));
        let opened = made.map_err(|error| error.to_string()).and_then(|()| {
            Index::open(&copy, cache_bytes).map_err(|error| format!("it cannot be opened: {error}"))
        });
        match opened {
            Ok(index) => Ok(Self { index, folder: copy }),
            Err(what) => {
                // Named .tmp: what stays is removed by the next verification.
                let _unimportant = remove_folder(&copy);
                Err(what)
            }
        }
    }
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        let _unimportant = remove_folder(&self.folder);
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

struct Verification<'a> {
    report: VerifyReport,
    meaning: &'a mut dyn Meaning,
    index: Option<&'a Index>,
    options: &'a SledOptions,
    last: Position,
    heads: HashMap<StreamId, HeadRecord>,
    dedups: HashMap<Hash, DedupRecord>,
    batches: u64,
    named_blobs: HashSet<(RunId, Hash)>,
    indexed: Position,
}

impl<'a> Verification<'a> {
    fn new(
        report: VerifyReport,
        meaning: &'a mut dyn Meaning,
        index: Option<&'a Index>,
        options: &'a SledOptions,
        last: Position,
    ) -> Self {
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
            indexed: index.map_or(Position::ZERO, Index::held),
        }
    }

    /// Every group, every event; gives the position behind the last one.
    fn journal(&mut self, folder: &Path, store: Option<u128>) -> Result<Position, ReadError> {
        let files = self.options.files.clone();
        let progress = self.options.progress.clone();
        let last = self.last;
        let known = self.indexed;
        let mut shown = Position::ZERO;
        salvage::walk(files.as_ref(), folder, store, last, &mut |found| {
            match found {
                Found::Lost(damage) => self.report.fault(Fault::Journal(damage)),
                Found::Unfinished(torn) => self.report.notes.push(torn.to_string()),
                Found::Group(group, place) => {
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
                                self.report.fault(Fault::Journal(Damage { file, offset, what, positions }));
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
        })
    }

    /// One append of the journal.
    fn batch(&mut self, bytes: &[u8], head: &record::RecordHead, events: &[Envelope]) {
        let stream = &head.stream;
        let before = self.heads.get(stream).copied();
        let (mut version, mut hash) = before.map_or((Version::ZERO, Hash::ZERO), |h| (h.version, h.hash));
        for event in events {
            let at = |what: String| Fault::Event {
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
            let went = Appended {
                first_version: head.first_version,
                first_position: first.position,
                count: head.count,
                committed_at: first.committed_at,
                repeated: false,
            };
            self.dedups.insert(dedup.key, DedupRecord::new(dedup, &went));
        }
        if let Some(index) = self.index
            && last.position <= self.indexed
        {
            self.indexed_batch(index, stream, head.first_version, first, bytes);
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
        self.report.fault(Fault::Index { what });
    }

    /// Heads, lists, idempotency entries and snapshots. Where the index is behind, or goes on beside
    /// this, what lies behind `known` is left out.
    fn index_to(&mut self, known: Option<Position>) {
        let Some(index) = self.index else { return };
        let now = (self.options.clock)();
        let compared = index.compare(&self.heads, &self.dedups, self.batches, known, now);
        match compared {
            Ok(faults) => faults.into_iter().for_each(|what| self.report.fault(Fault::Index { what })),
            Err(error) => self.report.fault(Fault::Index { what: error.to_string() }),
        }
        let (report, meaning) = (&mut self.report, &mut self.meaning);
        let visited = index.each_snapshot(&mut |stream, snapshot| {
            report.snapshots += 1;
            let checked = snapshot.and_then(|snapshot| meaning.snapshot(&stream, &snapshot));
            if let Err(what) = checked {
                report.fault(Fault::Snapshot { stream, what });
            }
        });
        if let Err(error) = visited {
            self.report.fault(Fault::Index { what: error.to_string() });
        }
    }

    /// Every blob that is there, and every one that is named.
    fn blobs(&mut self, blobs: &BlobStore) {
        let mut check = |run: RunId, hash: Hash, named: bool| {
            if named {
                self.report.blobs += 1;
            }
            match blobs.get_blocking(run, &hash) {
                Ok(_) => {}
                Err(BlobError::Missing { .. }) if named => {}
                Err(error) => {
                    let what = match &error {
                        BlobError::Io { source, .. } => format!("{error}: {source}"),
                        other => other.to_string(),
                    };
                    self.report.fault(Fault::Blob { run, hash, what });
                }
            }
        };
        let mut present = HashSet::new();
        for run in blobs.runs().unwrap_or_default() {
            for hash in blobs.list(run).unwrap_or_default() {
                present.insert((run, hash));
                check(run, hash, true);
            }
        }
        for (run, hash) in std::mem::take(&mut self.named_blobs) {
            if !present.contains(&(run, hash)) {
                check(run, hash, false);
            }
        }
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
            let held = self.count_batches()?;
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

/// Verification of an open store on a thread for that.
pub async fn verify_open(
    store: Arc<SledStore>,
    mut meaning: Box<dyn Meaning>,
) -> Result<VerifyReport, ReadError> {
    tokio::task::spawn_blocking(move || store.verify(meaning.as_mut()))
        .await
        .map_err(|_| ReadError::Closed)?
}
