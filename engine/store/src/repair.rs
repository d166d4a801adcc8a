//! Repair of a store that cannot be opened, or has lost a part of its journal.
//!
//! Law: a plan says exactly what would be done and changes nothing; only `apply` writes. The old
//! journal is kept beside the new one. What is restored from the index is what the hash chain of its
//! stream proves; what nothing holds any more is named, and then nothing is done.
//!
//! Called by `everfold store repair`, on a folder that no process has open.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Damage, OpenError, ReadError};
use super::files::{FileAccess, Files as _, SystemFiles};
use super::journal::format::GROUP_HEADER;
use super::journal::prepare::Preparer;
use super::journal::recover::TornTail;
use super::journal::salvage::SalvageItem;
use super::journal::segment::{SegmentSizes, Segments};
use super::journal::tail::{JournalTail, Owner};
use super::journal::writer::{GroupError, JournalWriter};
use super::journal::{compress, format, prepare, salvage, writer};
use super::lock;
use super::lock::FolderLock;
use super::manifest;
use super::manifest::{FolderIdentity, IndexState, JournalEnd, Manifest};
use super::options::SledOptions;
use super::paths::{INDEX_FOLDER, JOURNAL_FOLDER, index_folder, journal_folder, remove_folder};
use super::record;
use super::sled::Index;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// One thing that a repair does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairStep {
    /// The unfinished write at the journal's end is overwritten with zeros, as every start does.
    CutTail {
        /// The segment.
        file: PathBuf,
        /// The first byte.
        from: u64,
        /// Behind the last byte.
        to: u64,
    },
    /// A compressed segment whose blocks are whole, and whose lengths of them are not, is written anew from them.
    RewriteSegment {
        /// The segment.
        file: PathBuf,
    },
    /// The journal is written anew from what is whole in it and what the index holds; the old one is
    /// kept under another name.
    RewriteJournal {
        /// Where the old one is kept.
        kept_as: PathBuf,
        /// Positions that come from the index, as ranges.
        from_index: Vec<(Position, Position)>,
    },
    /// The index is thrown away; the next start builds it from the journal.
    RebuildIndex,
}

impl fmt::Display for RepairStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutTail { file, from, to } => {
                write!(f, "overwrite bytes {from} to {to} of {} with zeros", file.display())
            }
            Self::RewriteSegment { file } => {
                write!(f, "write {} anew from what is read in it: it lacks nothing", file.display())
            }
            Self::RewriteJournal { kept_as, from_index } => {
                write!(f, "write the journal anew, with positions ")?;
                for (index, (first, last)) in from_index.iter().enumerate() {
                    write!(f, "{}{first} to {last}", if index == 0 { "" } else { ", " })?;
                }
                write!(f, " from the index, and keep the old one as {}", kept_as.display())
            }
            Self::RebuildIndex => write!(f, "throw the index away; the next start builds it again"),
        }
    }
}

/// What a repair would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairPlan {
    /// The steps in their order; none where nothing need be done.
    pub steps: Vec<RepairStep>,
    /// What is wrong with the journal.
    pub damage: Vec<Damage>,
    /// Positions that the journal does not hold, nor, where it was asked, the index. While there are any, nothing can be
    /// done here: a backup may have them.
    pub lost: Vec<(Position, Position)>,
}

/// Why a repair was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The folder could not be looked through.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Neither journal nor index holds these positions.
    #[error("positions {first} to {last} are in neither journal nor index; restore a backup")]
    Lost {
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
    },
    /// The journal does not hold these positions, and the index was not asked.
    #[error("positions {first} to {last} are not in the journal; the index may hold them")]
    NotInJournal {
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
    },
    /// What the index holds does not follow the stream's chain.
    #[error("the index's batch of {stream} from version {version} does not follow the stream's history")]
    Unproven {
        /// The stream.
        stream: StreamId,
        /// The batch.
        version: Version,
    },
    /// The new journal could not be written; the old one is where it was.
    #[error("the new journal could not be written: {0}")]
    Write(String),
}

impl From<ReadError> for RepairError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Full => Self::Write("the disk is full".into()),
            other => Self::Open(OpenError::from_read(Path::new(INDEX_FOLDER), other)),
        }
    }
}

/// Says what a repair would do. `from_index`: whether the journal's losses may be filled from the
/// index.
///
/// # Errors
/// [`RepairError::Open`] where the folder is in use, newer or not readable.
pub fn plan(folder: &Path, options: &SledOptions, from_index: bool) -> Result<RepairPlan, RepairError> {
    let _lock = taken(folder)?;
    Ok(look(folder, options, from_index)?.plan)
}

/// Does what [`plan`] says.
///
/// # Errors
/// [`RepairError`]; then the store is as it was.
pub fn apply(folder: &Path, options: &SledOptions, from_index: bool) -> Result<RepairPlan, RepairError> {
    let lock = taken(folder)?;
    let looked = look(folder, options, from_index)?;
    if let Some(&(first, last)) = looked.plan.lost.first() {
        return Err(match from_index {
            true => RepairError::Lost { first, last },
            false => RepairError::NotInJournal { first, last },
        });
    }
    let failed = |error: std::io::Error| RepairError::Write(error.to_string());
    for step in &looked.plan.steps {
        match step {
            RepairStep::CutTail { file, from, to } => {
                let torn = TornTail { path: file.clone(), from: *from, to: *to };
                let file = SystemFiles.open(file, FileAccess::Write).map_err(failed)?;
                torn.overwrite(file.as_ref()).map_err(failed)?;
            }
            RepairStep::RewriteSegment { file } => {
                compress::rewrite(&SystemFiles, file).map_err(failed)?;
            }
            RepairStep::RewriteJournal { kept_as, .. } => rewrite(folder, options, &looked, kept_as, &lock)?,
            RepairStep::RebuildIndex => {
                // The manifest first: an index that is gone half-way is not believed.
                if let Some(Ok(mut manifest)) = manifest::read_known(folder)? {
                    manifest.note_identity(FolderIdentity::of(folder).map_err(failed)?);
                    manifest.index = IndexState::Building;
                    manifest::write(&SystemFiles, folder, &manifest).map_err(failed)?;
                }
                remove_folder(&index_folder(folder)).map_err(failed)?;
            }
        }
    }
    Ok(looked.plan)
}

fn taken(folder: &Path) -> Result<Arc<FolderLock>, RepairError> {
    let lock = FolderLock::take(folder, || Ok(()))?;
    lock::refuse_written(&SystemFiles, folder, FileAccess::Read)?;
    Ok(Arc::new(lock))
}

struct Findings {
    plan: RepairPlan,
    manifest: Option<Manifest>,
    /// Batches that only the index holds.
    indexed: BTreeMap<Position, (StreamId, Version)>,
}

/// Looks a folder through.
fn look(folder: &Path, options: &SledOptions, from_index: bool) -> Result<Findings, RepairError> {
    let manifest = manifest::read_known(folder)?.and_then(Result::ok);
    let store = manifest.as_ref().map(|manifest| manifest.store_id());
    let journal = journal_folder(folder);
    let mut plan = RepairPlan::default();
    let mut whole: Vec<(Position, Position)> = Vec::new();
    let last = Position(u64::MAX - 1);
    salvage::walk(&SystemFiles, &journal, store, last, &mut |found| {
        match found {
            SalvageItem::Group(group, _) => {
                let (first, next) = (group.first_position, group.next_position());
                match whole.last_mut() {
                    Some((_, end)) if end.next() == first => *end = Position(next.0 - 1),
                    _ => whole.push((first, Position(next.0 - 1))),
                }
            }
            SalvageItem::Lost(damage) => plan.damage.push(damage),
            SalvageItem::Lengths { damage, is_readable } => {
                let step = RepairStep::RewriteSegment { file: damage.file.clone() };
                if is_readable && !plan.steps.contains(&step) {
                    plan.steps.push(step);
                }
                plan.damage.push(damage);
            }
            SalvageItem::Padding(torn) => {
                plan.damage.push(torn.between_groups());
                plan.steps.push(RepairStep::CutTail { file: torn.path, from: torn.from, to: torn.to });
            }
            SalvageItem::Unfinished(torn) => {
                plan.steps.push(RepairStep::CutTail { file: torn.path, from: torn.from, to: torn.to });
            }
        }
        Ok(())
    })?;
    let mut indexed = BTreeMap::new();
    let mut end = whole.last().map_or(Position::ZERO, |(_, last)| *last);
    end = end.max(manifest.as_ref().map_or(Position::ZERO, |manifest| manifest.journal.position));
    let index_folder = index_folder(folder);
    let index =
        if index_folder.exists() { Index::open(&index_folder, options.cache_bytes).ok() } else { None };
    if let Some(index) = &index {
        end = end.max(index.held());
    }
    let gaps = gaps(&whole, end);
    if gaps.is_empty() {
        return Ok(Findings { plan, manifest, indexed });
    }
    if let (true, Some(index)) = (from_index, index.as_ref().filter(|index| index.is_readable())) {
        index
            .each_place(&mut |position, stream, version| {
                if gaps.iter().any(|(first, last)| (first..=last).contains(&&position)) {
                    indexed.insert(position, (stream, version));
                }
            })
            .map_err(ReadError::from)?;
        // A batch covers more than its first position.
        let mut filled = Vec::new();
        for (position, (stream, version)) in &indexed {
            let Ok(Some((_, bytes))) = index.batch(stream, *version) else { continue };
            if let Ok((head, _)) = record::decode_outline(&bytes) {
                filled.push((*position, Position(position.0 + u64::from(head.count) - 1)));
            }
        }
        plan.lost = gaps_within(&gaps, &filled);
        if plan.lost.is_empty() {
            plan.steps.clear();
            let kept_as = unused(folder);
            plan.steps.push(RepairStep::RewriteJournal { kept_as, from_index: gaps });
            plan.steps.push(RepairStep::RebuildIndex);
        }
    } else {
        plan.lost = gaps;
    }
    Ok(Findings { plan, manifest, indexed })
}

/// The positions from 1 to `end` that are in no range; the ranges are in order.
fn gaps(whole: &[(Position, Position)], end: Position) -> Vec<(Position, Position)> {
    let mut gaps = Vec::new();
    let mut next = Position::FIRST;
    for (first, last) in whole {
        if *first > next {
            gaps.push((next, Position(first.0 - 1)));
        }
        next = next.max(last.next());
    }
    if next <= end {
        gaps.push((next, end));
    }
    gaps
}

fn gaps_within(
    wanted: &[(Position, Position)],
    filled: &[(Position, Position)],
) -> Vec<(Position, Position)> {
    wanted
        .iter()
        .flat_map(|(first, last)| {
            let inside: Vec<_> =
                filled.iter().filter(|(from, to)| to >= first && from <= last).copied().collect();
            gaps(&inside, *last)
                .into_iter()
                .filter(move |(_, to)| to >= first)
                .map(move |(from, to)| (from.max(*first), to))
        })
        .collect()
}

fn unused(folder: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let name = folder.join(format!("{}.damaged-{number}", JOURNAL_FOLDER));
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}

/// Writes the new journal beside the old one and exchanges them.
fn rewrite(
    folder: &Path,
    options: &SledOptions,
    looked: &Findings,
    kept_as: &Path,
    lock: &Arc<FolderLock>,
) -> Result<(), RepairError> {
    let failed = |error: std::io::Error| RepairError::Write(error.to_string());
    let (journal, beside) = (journal_folder(folder), folder.join("journal.tmp"));
    remove_folder(&beside).map_err(failed)?;
    fs::create_dir_all(&beside).map_err(failed)?;
    let index = Index::open(&index_folder(folder), options.cache_bytes)
        .map_err(|error| RepairError::from(ReadError::from(error)))?;
    let owner = looked.manifest.as_ref().map(Manifest::owner);
    let owner = owner.ok_or_else(|| RepairError::Write("store.json is not readable".into()))?;
    let mut target = RewrittenJournal::new(&beside, owner, lock)?;
    let mut indexed = looked.indexed.iter().peekable();
    let mut fill = |target: &mut RewrittenJournal, until: Position| -> Result<(), RepairError> {
        while let Some((&position, (stream, version))) = indexed.next_if(|(position, _)| **position < until) {
            let unproven = || RepairError::Unproven { stream: stream.clone(), version: *version };
            let (place, bytes) = index.batch(stream, *version).ok().flatten().ok_or_else(unproven)?;
            if !target.put(&bytes, position, place.committed_at)? {
                return Err(unproven());
            }
        }
        Ok(())
    };
    let store = looked.manifest.as_ref().map(|manifest| manifest.store_id());
    let mut outcome = Ok(());
    let last = Position(u64::MAX - 1);
    salvage::walk(&SystemFiles, &journal, store, last, &mut |found| {
        let SalvageItem::Group(group, place) = found else { return Ok(()) };
        let mut copy = || -> Result<(), RepairError> {
            fill(&mut target, group.first_position)?;
            let mut position = group.first_position;
            for record in format::records(place.body) {
                let unreadable = |what: String| RepairError::Write(what);
                let bytes = record.map_err(unreadable)?;
                let (head, _) = record::decode_outline(bytes).map_err(unreadable)?;
                let (stream, version) = (head.stream.clone(), head.first_version);
                if !target.put(bytes, position, group.committed_at)? {
                    return Err(RepairError::Unproven { stream, version });
                }
                position = Position(position.0 + u64::from(head.count));
            }
            Ok(())
        };
        if outcome.is_ok() {
            outcome = copy();
        }
        Ok(())
    })?;
    outcome?;
    fill(&mut target, Position(u64::MAX))?;
    let end = target.writer.tail().position();
    drop(target);
    let mut manifest = looked.manifest.clone();
    if let Some(manifest) = &mut manifest {
        // A copy stays one when it is repaired.
        manifest.note_identity(FolderIdentity::of(folder).map_err(failed)?);
        manifest.index = IndexState::Building;
        manifest.journal = JournalEnd::EMPTY;
    }
    if let Some(manifest) = &manifest {
        manifest::write(&SystemFiles, folder, manifest).map_err(failed)?;
    }
    fs::rename(&journal, kept_as).map_err(failed)?;
    fs::rename(&beside, &journal).map_err(failed)?;
    SystemFiles.sync_folder(folder).map_err(failed)?;
    if let Some(manifest) = &manifest {
        // It names the journal's files, which are others now.
        manifest::write(&SystemFiles, folder, manifest).map_err(failed)?;
    }
    tracing::info!(%end, "the journal is written anew");
    Ok(())
}

/// A journal that is being written from old records.
struct RewrittenJournal {
    writer: JournalWriter,
    preparer: Arc<Preparer>,
    maker: Option<std::thread::JoinHandle<()>>,
    ends: HashMap<StreamId, (Version, Hash)>,
    buffer: Vec<u8>,
}

impl RewrittenJournal {
    fn new(folder: &Path, owner: Owner, lock: &Arc<FolderLock>) -> Result<Self, RepairError> {
        let failed = |error: std::io::Error| RepairError::Write(error.to_string());
        let sizes = SegmentSizes::default();
        let files: Arc<dyn super::files::Files> = Arc::new(SystemFiles);
        let made = prepare::prepare(&SystemFiles, folder, sizes.first).map_err(failed)?;
        let header = owner.first_segment(made.capacity);
        let active = writer::open_segment(&SystemFiles, folder, &header, made).map_err(failed)?;
        let segments = Segments::new(vec![active.0.clone()]);
        lock.set_active(&active.0.path, active.1.id().map_err(failed)?);
        let preparer = Preparer::new(files.clone(), folder, lock.clone(), |_| {});
        let maker = std::thread::spawn({
            let preparer = preparer.clone();
            move || preparer.run()
        });
        let writer = JournalWriter::new(
            files,
            folder,
            segments,
            owner,
            (preparer.clone(), sizes.later),
            active,
            JournalTail::EMPTY,
        );
        let (ends, buffer) = (HashMap::new(), Vec::new());
        Ok(Self { writer, preparer, maker: Some(maker), ends, buffer })
    }

    /// Writes one record; `false` where it does not stand where it belongs or does not follow its
    /// stream's chain.
    fn put(
        &mut self,
        bytes: &[u8],
        position: Position,
        committed_at: Timestamp,
    ) -> Result<bool, RepairError> {
        let Ok((head, events)) = record::decode(bytes, position, committed_at) else { return Ok(false) };
        let (mut version, mut hash) =
            self.ends.get(&head.stream).copied().unwrap_or((Version::ZERO, Hash::ZERO));
        for event in &events {
            if event.header.version != version.next() || !event.is_linked(&hash) {
                return Ok(false);
            }
            (version, hash) = (event.header.version, event.hash);
        }
        if self.writer.tail().next_position != position {
            return Ok(false);
        }
        self.ends.insert(head.stream, (version, hash));
        self.buffer.clear();
        self.buffer.resize(GROUP_HEADER, 0);
        let length = u32::try_from(bytes.len()).expect("a decoded record is bounded");
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        match self.writer.write(&mut self.buffer, 1, head.count, committed_at) {
            Ok(()) => Ok(true),
            Err(GroupError::Full) => Err(RepairError::Write("the disk is full".into())),
            Err(GroupError::Unknown(why) | GroupError::ReadOnly(why)) => Err(RepairError::Write(why)),
            Err(GroupError::NotOurs(why)) => Err(RepairError::Write(why.to_string())),
        }
    }
}

impl Drop for RewrittenJournal {
    fn drop(&mut self) {
        self.preparer.stop();
        if let Some(maker) = self.maker.take() {
            // A panic there has been reported by the thread itself.
            let _ended = maker.join();
        }
    }
}
