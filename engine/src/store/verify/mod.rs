//! Verification of a whole store: journal, chains, index, blobs, snapshots.
//!
//! Law: changes nothing, ends at no fault, and names each one. What events mean is asked of the
//! caller through [`Meaning`].
//!
//! Called by `everfold store verify`, on a closed folder or beside a running store.

mod walk;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backlog::Needs;
use super::blob::BlobStore;
use super::files::Access;
use super::lock::{self, FolderLock};
use super::mark::{self, IndexState};
use super::renew::{self, INDEX_FOLDER, remove_folder};
use super::shared::Shared;
use super::sled::Index;
use super::{Damage, OpenError, Progress, ReadError, SledOptions, SledStore, Snapshot, open};
use crate::clock;
use crate::envelope::{Envelope, StreamId};
use crate::id::{Position, RunId, Version};
use crate::json::Hash;

use walk::Verification;

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
    let _lock = FolderLock::look(folder)?;
    lock::refuse_written(options.files.as_ref(), folder, Access::Read)?;
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
    let is_to_come = known.as_ref().is_some_and(|mark| matches!(mark.index, IndexState::Building))
        && !folder.join(INDEX_FOLDER).exists();
    // On a copy: opening sled changes its files, and a damaged one most of all.
    let copied = (!is_to_come).then(|| IndexCopy::make(folder, options.cache_bytes));
    let index = match &copied {
        None => {
            report.notes.push("there is no index, as after a repair: the next start builds it".into());
            None
        }
        Some(Ok(copy)) => Some(&copy.index),
        Some(Err(what)) => {
            report.fault(Fault::Index { what: what.clone() });
            None
        }
    };
    // Of another layout only the position can be told.
    let indexed = index.map_or(Position::ZERO, Index::held);
    let index = index.filter(|index| {
        if !index.is_readable() {
            let note = "the index has the layout of another version; the next start builds it again";
            report.notes.push(note.into());
        }
        index.is_readable()
    });
    let journal = open::journal_folder(folder);
    let store = known.as_ref().map(|mark| open::parse_id(&mark.store));
    let last = Position(u64::MAX - 1);
    let mut verification = Verification::new(report, meaning, index, options, last);
    let end = verification.journal(&journal, store).map_err(|error| open::unbuilt(folder, error))?;
    let durable = known.as_ref().map_or(Position::ZERO, |mark| mark.journal.position);
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
    /// Verifies the store beside its work, up to the last position at the start of the call; tells
    /// `progress` now and then. Blocks.
    ///
    /// # Errors
    /// Where nothing can be said: the store is closed, or its files are not readable.
    pub fn verify(
        &self,
        meaning: &mut dyn Meaning,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<VerifyReport, ReadError> {
        let shared: &Shared = self.shared();
        let options = SledOptions { progress, ..shared.options.clone() };
        let last = shared.published.borrow().position;
        let index = shared.index_with(&Needs::All)?;
        let store = open::parse_id(&shared.mark().store);
        let report = VerifyReport::default();
        let mut verification = Verification::new(report, meaning, Some(&index), &options, last);
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
    /// Beside the index, or where temporary files go if the folder may only be read.
    fn make(folder: &Path, cache_bytes: u64) -> Result<Self, String> {
        let mut copy = folder.join("sled.verify.tmp");
        let mut made = remove_folder(&copy).and_then(|()| fs::create_dir(&copy));
        if made.as_ref().is_err_and(is_forbidden) {
            copy = std::env::temp_dir().join(format!("everfold-verify-{:016x}", clock::draw_u64()));
            made = fs::DirBuilder::new().mode(0o700).create(&copy);
        }
        let made = made.and_then(|()| copy_folder(&folder.join(INDEX_FOLDER), &copy));
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

fn is_forbidden(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
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

/// Verification of an open store on a thread for that, which tells `progress` how far it has come.
///
/// # Errors
/// As for [`SledStore::verify`].
pub async fn verify_open(
    store: Arc<SledStore>,
    mut meaning: Box<dyn Meaning>,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<VerifyReport, ReadError> {
    tokio::task::spawn_blocking(move || store.verify(meaning.as_mut(), progress))
        .await
        .map_err(|_| ReadError::Closed)?
}
