//! Ownership of a data folder by one process.
//!
//! Law: the `flock`s decide, of the folder itself, of the file `lock` in it, and of the journal's active
//! segment; the process id in the file only informs. The kernel lets go of them with the process, however it
//! ends. A lock is of a file and not of its name: who owns a folder makes sure that the names are those of its
//! files still before it acknowledges, replaces or removes anything by them.
//!
//! Taken when a store is opened, kept until it is closed.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::OpenError;
use super::files::{FileAccess, FileId, Files, LockedFile};
use super::journal::{recover, segment};
use super::paths::journal_folder;
use everfold_base::data_folder::Layout;
use everfold_system::os_error::is_disk_full;
use everfold_system::regular;

/// The file's name.
pub(crate) const FILE_NAME: &str = "lock";

/// The names are not those of the owner's files any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; nothing more is written there by process {pid}", pid = std::process::id())]
pub(crate) struct OwnershipLost {
    what: String,
}

impl OwnershipLost {
    fn new(what: String) -> Self {
        Self { what }
    }
}

/// The right to write to a folder, until it is released.
#[derive(Debug)]
pub(crate) struct FolderLock {
    folder: PathBuf,
    held: Mutex<Option<HeldLocks>>,
    /// The segment that is being written.
    active: Mutex<Option<(PathBuf, FileId)>>,
}

#[derive(Debug)]
struct HeldLocks {
    root: LockedFile,
    /// Held for its lock; none where the folder may only be read.
    file: Option<(LockedFile, FileId)>,
}

impl FolderLock {
    /// Takes the locks. `look` looks the folder through while no other process has it, and before any file is made in it.
    pub(crate) fn take(
        folder: &Path,
        look: impl FnOnce() -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let root = take_root(folder)?;
        look()?;
        let path = folder.join(FILE_NAME);
        let failed = |source| OpenError::from_io(path.clone(), source);
        let file = open_file(&path).map_err(|error| failed(explain(folder, error)))?;
        let file = LockedFile::take(file).map_err(failed)?.ok_or_else(|| in_use(folder))?;
        match sign(&file) {
            // On a full disk the lock holds all the same.
            Err(error) if !is_disk_full(&error) => return Err(failed(error)),
            _ => {}
        }
        let id = id_of(&file).map_err(failed)?;
        let held = HeldLocks { root, file: Some((file, id)) };
        Ok(Self { folder: folder.to_owned(), held: Mutex::new(Some(held)), active: Mutex::default() })
    }

    /// Takes the locks of a folder that is only read: no file is made or written.
    pub(crate) fn look(folder: &Path) -> Result<Self, OpenError> {
        Self::look_beside(folder, None)
    }

    /// The same beside another folder that this process has locked: of a copy by hard links the file `lock` is one with that
    /// folder's.
    pub(crate) fn look_beside(folder: &Path, held: Option<&Path>) -> Result<Self, OpenError> {
        let root = take_root(folder)?;
        let path = folder.join(FILE_NAME);
        let failed = |source| OpenError::from_io(path.clone(), source);
        let file = match regular::open(&path) {
            Ok(_) if held.is_some_and(|held| is_same(&held.join(FILE_NAME), &path)) => None,
            Ok(file) => {
                let file = LockedFile::take(file).map_err(failed)?.ok_or_else(|| in_use(folder))?;
                let id = id_of(&file).map_err(failed)?;
                Some((file, id))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(explain(folder, error))),
        };
        let held = HeldLocks { root, file };
        Ok(Self { folder: folder.to_owned(), held: Mutex::new(Some(held)), active: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Option<HeldLocks>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the folder.
    pub(crate) fn release(&self) {
        *self.held() = None;
    }

    /// Says which segment is being written.
    pub(crate) fn set_active(&self, path: &Path, id: FileId) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.to_owned(), id));
    }

    /// Whether the active segment's name is that file's still, in the folder and journal of that name. One look: it
    /// is taken before each acknowledgement.
    ///
    /// # Errors
    /// [`OwnershipLost`]. What cannot be looked at is no proof.
    pub(crate) fn names_active(&self) -> Result<(), OwnershipLost> {
        match &*self.active.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((path, id)) => names(path, id),
            None => Ok(()),
        }
    }

    /// Whether folder, lock and active segment are under their names still. A file `lock` that was removed
    /// is made again.
    ///
    /// # Errors
    /// [`OwnershipLost`]: nothing may be written, replaced or removed by name any more.
    pub(crate) fn check(&self) -> Result<(), OwnershipLost> {
        if let Some(held) = &mut *self.held() {
            // Asked anew: the first file that is made in a folder of an overlay file system's lower layer copies that
            // folder, and what was opened has another number from then on.
            if let Ok(root) = id_of(&held.root) {
                names(&self.folder, &root)?;
            }
            if let Some((file, id)) = &mut held.file {
                let path = self.folder.join(FILE_NAME);
                if names(&path, id).is_err() {
                    let shown = path.display();
                    match taken_again(&path) {
                        Ok(Some(taken)) => {
                            tracing::warn!("{shown} was removed or replaced: it was made and locked again");
                            (*file, *id) = taken;
                        }
                        Ok(None) => {
                            return Err(OwnershipLost::new(format!("another process has locked {shown}")));
                        }
                        // The lock of the folder itself holds.
                        Err(error) => {
                            tracing::warn!(%error, "{shown} was removed or replaced, and cannot be locked again");
                        }
                    }
                }
            }
        }
        self.names_active()
    }
}

/// Whether two names are those of one file or folder.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    FileId::of(one).is_ok_and(|one| FileId::of(other).is_ok_and(|other| one == other))
}

/// Whether a name is a file's still.
fn names(path: &Path, id: &FileId) -> Result<(), OwnershipLost> {
    match FileId::of(path) {
        Ok(now) if now == *id => Ok(()),
        Ok(_) => {
            Err(OwnershipLost::new(format!("{} was put in the place of what was opened", path.display())))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(OwnershipLost::new(format!("{} was removed or moved away", path.display())))
        }
        Err(_) => Ok(()),
    }
}

fn take_root(folder: &Path) -> Result<LockedFile, OpenError> {
    let failed = |source| OpenError::from_io(folder.to_owned(), source);
    let root = File::open(folder).map_err(|error| failed(explain(folder, error)))?;
    LockedFile::take(root).map_err(failed)?.ok_or_else(|| in_use(folder))
}

fn id_of(locked: &LockedFile) -> io::Result<FileId> {
    Ok(FileId::new(&locked.file().metadata()?))
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = regular::options();
    regular::open_with(options.read(true).write(true).create(true).truncate(false), path)
}

/// Writes who has it.
fn sign(locked: &LockedFile) -> io::Result<()> {
    let mut file = locked.file();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn taken_again(path: &Path) -> io::Result<Option<(LockedFile, FileId)>> {
    let Some(file) = LockedFile::take(open_file(path)?)? else { return Ok(None) };
    sign(&file)?;
    let id = id_of(&file)?;
    Ok(Some((file, id)))
}

/// Refuses a journal whose last segment another process writes, whatever became of the folder's own locks.
pub(crate) fn refuse_written(files: &dyn Files, folder: &Path, access: FileAccess) -> Result<(), OpenError> {
    let journal = journal_folder(folder);
    let Some(last) = recover::list(&journal)?.0.pop() else { return Ok(()) };
    let path = journal.join(segment::file_name(last));
    let failed = |source| OpenError::from_io(path.clone(), source);
    let file = files.open(&path, access).map_err(failed)?;
    if file.lock().map_err(failed)? { Ok(()) } else { Err(in_use(folder)) }
}

/// Says who has the folder, as far as that is written down. What is written down outlives its process, and who only reads the
/// folder does not write: a process that is gone is not named.
pub(crate) fn in_use(folder: &Path) -> OpenError {
    let mut text = String::new();
    // The owner may be just writing it; the error is the same without a number.
    let _informative =
        regular::open(&folder.join(FILE_NAME)).and_then(|mut file| file.read_to_string(&mut text));
    let pid = text.trim().parse().ok().filter(|pid| is_alive(*pid)).or_else(|| {
        let record = regular::read(&Layout::new(folder).owner()).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&record).ok()?;
        record["pid"].as_u64()?.try_into().ok().filter(|pid| is_alive(*pid))
    });
    OpenError::InUse { pid: pid.unwrap_or(0) }
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Another user's process may not be signalled.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Says whose folder it is, where that is the reason.
fn explain(folder: &Path, error: io::Error) -> io::Error {
    use std::os::unix::fs::MetadataExt as _;
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let Ok(metadata) = fs::metadata(folder) else { return error };
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return error;
    }
    io::Error::new(error.kind(), format!("{error}: the folder belongs to user {owner}, this is user {user}"))
}
