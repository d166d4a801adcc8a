//! `store.json`: what a store says about itself outside of its journal.
//!
//! Law: it is replaced as a whole, durably, and carries its own checksum. Losing it loses no event;
//! it makes recovery more careful.
//!
//! Written when a store is opened, at checkpoints and when it is closed.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::OpenError;
use super::files::{FileId, Files};
use super::index_files::ClosedFiles;
use super::journal::recover::Survey;
use super::journal::segment;
use super::journal::tail::{ExpectedJournal, Owner};
use super::paths::journal_folder;
use everfold_base::id::Position;
use everfold_base::json::{self, Hash};
use everfold_system::{clock, regular};

/// The format of the data folder that this code writes, and the newest that it opens.
pub const STORE_FORMAT: u32 = 1;
/// The file's name.
pub(crate) const FILE_NAME: &str = "store.json";

/// A store's own description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// Drawn once for this store; stands in every segment.
    pub(crate) store: String,
    /// Drawn for this store and again for every copy of it.
    pub(crate) epoch: String,
    /// A person said that this copy is the one that acts.
    pub(crate) adopted: bool,
    pub(crate) place: FolderIdentity,
    pub(crate) index: IndexState,
    /// The journal held this much, durably, when the file was written.
    pub(crate) journal: JournalEnd,
}

impl Manifest {
    /// That of a new store, or of one whose manifest was lost: the journal's segments name the store.
    pub(crate) fn draw(survey: Option<&Survey>, place: FolderIdentity, is_new: bool) -> Self {
        let last = survey.and_then(|survey| survey.segments.last()).map(|segment| segment.header);
        Self {
            format: STORE_FORMAT,
            store: format!("{:032x}", last.map_or_else(clock::draw_u128, |header| header.store)),
            epoch: draw_epoch(),
            // Without its description a folder cannot say whether it is a copy.
            adopted: is_new,
            place,
            index: IndexState::Building,
            journal: JournalEnd::EMPTY,
        }
    }

    /// Takes note of where the folder is now. A copy draws an epoch of its own, and acts when a person says so.
    pub(crate) fn note_identity(&mut self, place: FolderIdentity) {
        if !self.place.is(&place) {
            self.go_on_as_another();
        }
        self.place = place;
    }

    /// What goes on from here is another history than the one that was known outside: a person must say that it acts.
    pub(crate) fn go_on_as_another(&mut self) {
        self.epoch = draw_epoch();
        self.adopted = false;
    }

    /// The store's id as a number.
    pub(crate) fn store_id(&self) -> u128 {
        u128::from_str_radix(&self.store, 16).unwrap_or(0)
    }

    /// What a journal at this place is to be.
    fn expected(&self, place: &FolderIdentity) -> ExpectedJournal {
        let is_copy = !self.adopted || !self.place.is(place);
        let was_closed = matches!(self.index, IndexState::Closed(_));
        ExpectedJournal {
            store: Some(self.store_id()),
            was_copied_in_use: is_copy && !was_closed,
            closed_at: was_closed.then_some(self.journal.position),
            last_segment: self.journal.segment,
        }
    }

    /// The owner of the segments of the store.
    pub(crate) fn owner(&self) -> Owner {
        Owner { store: self.store_id(), epoch: u64::from_str_radix(&self.epoch, 16).unwrap_or(0) }
    }
}

fn draw_epoch() -> String {
    format!("{:016x}", clock::draw_u64())
}

/// Where the folder lies, and what of it no copy can have; another place means that it was copied or moved, or
/// that a copy was put back into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderIdentity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// The file system's own identity: device numbers change when disks are found in another order.
    pub(crate) filesystem: u64,
    /// The journal's folder. As those below, unknown where an earlier version wrote the manifest, or a repair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<FileId>,
    /// The journal's first segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) segment: Option<FileId>,
    /// `store.json` itself, formerly the mark: a new file at each write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<FileId>,
}

impl FolderIdentity {
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(folder)?;
        let filesystem = rustix::fs::statvfs(folder)?.f_fsid;
        let journal = journal_folder(folder);
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            filesystem,
            segment: found(&journal.join(segment::file_name(1)))?,
            journal: found(&journal)?,
            mark: found(&folder.join(FILE_NAME))?,
        })
    }

    /// Whether both are one folder with the same files. Where one does not know a file, it is not compared.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let same = |one: Option<FileId>, two: Option<FileId>| {
            one.zip(two).is_none_or(|(one, two)| one.is_born_as(&two))
        };
        self.inode == other.inode
            && (self.device == other.device || (self.filesystem != 0 && self.filesystem == other.filesystem))
            && same(self.journal, other.journal)
            && same(self.segment, other.segment)
            && same(self.mark, other.mark)
    }
}

/// Which file it is, if there is one.
fn found(path: &Path) -> io::Result<Option<FileId>> {
    match FileId::of(path) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// How far the index may be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IndexState {
    /// Not at all: it is being built.
    Building,
    /// While the machine runs on: this boot wrote it.
    Open {
        /// The kernel's boot id.
        boot: String,
    },
    /// Wholly, as long as its files are what they were when the store was closed.
    Closed(ClosedFiles),
}

/// An end that the journal had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalEnd {
    pub(crate) segment: u64,
    pub(crate) end: u64,
    pub(crate) position: Position,
    pub(crate) crc: u32,
}

impl JournalEnd {
    pub(crate) const EMPTY: Self = Self { segment: 0, end: 0, position: Position::ZERO, crc: 0 };
}

/// What a folder's file says.
pub(crate) enum ManifestRead {
    None,
    /// It is there and not what was written.
    Damaged(String),
    /// A newer everfold wrote it, in this format.
    TooNew(u32),
    Manifest(Box<Manifest>),
}

#[derive(Serialize, Deserialize)]
struct ManifestFile {
    everfold: Manifest,
    check: Hash,
}

/// Reads the file.
pub(crate) fn read(folder: &Path) -> io::Result<ManifestRead> {
    let bytes = match regular::read(&folder.join(FILE_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ManifestRead::None),
        other => other?,
    };
    let damaged = |error: serde_json::Error| ManifestRead::Damaged(error.to_string());
    let value: json::Value = match serde_json::from_slice(&bytes) {
        Ok(value) => value,
        Err(error) => return Ok(damaged(error)),
    };
    let check = Hash::of(json::canonical(&value["everfold"]).as_bytes()).to_string();
    if value["check"] != check {
        return Ok(ManifestRead::Damaged("its checksum is wrong".into()));
    }
    // The format is looked at before the rest, which a newer one may have changed.
    if let Some(format) = value["everfold"]["format"].as_u64()
        && format > u64::from(STORE_FORMAT)
    {
        return Ok(ManifestRead::TooNew(u32::try_from(format).unwrap_or(u32::MAX)));
    }
    Ok(match serde_json::from_value::<ManifestFile>(value) {
        Ok(checked) => ManifestRead::Manifest(Box::new(checked.everfold)),
        Err(error) => damaged(error),
    })
}

/// What the journal of a folder is to be, by the folder's description, if that is known.
pub(crate) fn expected(folder: &Path, known: Option<&Manifest>) -> Result<ExpectedJournal, OpenError> {
    let Some(manifest) = known else { return Ok(ExpectedJournal::default()) };
    let place = FolderIdentity::of(folder).map_err(OpenError::at(folder))?;
    Ok(manifest.expected(&place))
}

/// The manifest of a folder; `None` where there is none, an inner error where it is damaged.
///
/// # Errors
/// Where it cannot be read, or a newer everfold wrote it.
pub(crate) fn read_known(folder: &Path) -> Result<Option<Result<Manifest, String>>, OpenError> {
    match read(folder).map_err(OpenError::at(&folder.join(FILE_NAME)))? {
        ManifestRead::None => Ok(None),
        ManifestRead::Damaged(what) => Ok(Some(Err(what))),
        ManifestRead::Manifest(manifest) => Ok(Some(Ok(*manifest))),
        ManifestRead::TooNew(found) => {
            Err(OpenError::TooNew { folder: folder.to_owned(), found, known: STORE_FORMAT })
        }
    }
}

/// Replaces the file, durably. It says which file it is itself, and which the journal's are now.
pub(crate) fn write(files: &dyn Files, folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut manifest = manifest.clone();
    let journal = journal_folder(folder);
    manifest.place.segment = found(&journal.join(segment::file_name(1)))?;
    manifest.place.journal = found(&journal)?;
    files.replace_by(&folder.join(FILE_NAME), &mut |own| {
        manifest.place.mark = Some(own);
        let value = serde_json::to_value(&manifest)?;
        let check = Hash::of(json::canonical(&value).as_bytes());
        let mut bytes = serde_json::to_vec_pretty(&ManifestFile { everfold: manifest.clone(), check })?;
        bytes.push(b'\n');
        Ok(bytes)
    })
}

/// The kernel's name for this boot; empty where the system has none, and then a kill cannot be
/// distinguished from a power cut.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
