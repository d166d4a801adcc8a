//! The system calls that durability rests on, as a layer that a test can count, fail or stop.
//!
//! Law: nothing of the journal, `store.json` and the blobs is written past this layer. (sled opens its own
//! files; it is a view and proves nothing.) A folder that was made is durable in the folder above it.
//!
//! Called by the journal, `store.json` and the blobs.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use everfold_system::{folder, regular};
use serde::{Deserialize, Serialize};

/// Opens, names and removes files.
pub trait Files: Send + Sync + 'static {
    /// Makes a file that must not exist, for reading and writing.
    ///
    /// # Errors
    /// Those of the operating system, as everywhere here.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>>;

    /// Opens a file that exists.
    fn open(&self, path: &Path, access: FileAccess) -> io::Result<Box<dyn StoreFile>>;

    /// Gives a file another name, in the place of a file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives each of two files or folders the other's name, at one moment where the file system can.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            use rustix::io::Errno;
            match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                done => return Ok(done?),
            }
        }
        let between = beside(one);
        self.rename(one, &between)?;
        let exchanged = self.rename(other, one).and_then(|()| self.rename(&between, other));
        if exchanged.is_err() {
            if !other.exists() {
                self.rename(one, other)?;
            }
            self.rename(&between, one)?;
        }
        exchanged
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes one folder of a mode; its parent exists.
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and those above it, each durable in the one above; it may exist.
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.create_folder_of(path, 0o777)
    }

    /// The same for this user alone.
    fn create_private(&self, path: &Path) -> io::Result<()> {
        self.create_folder_of(path, 0o700)
    }

    /// The same with a mode for those that are made.
    fn create_folder_of(&self, path: &Path, mode: u32) -> io::Result<()> {
        folder::create_durable(path, &|folder| self.make_folder(folder, mode), &|folder| {
            self.sync_folder(folder)
        })
    }

    /// Puts a whole file in the place of another: written beside it, synced, renamed, folder synced.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_by(path, &mut |_| Ok(bytes.to_vec()))
    }

    /// The same for a file whose content says which file it is.
    fn replace_by(
        &self,
        path: &Path,
        content: &mut dyn FnMut(FileId) -> io::Result<Vec<u8>>,
    ) -> io::Result<()> {
        let beside = beside(path);
        match self.remove(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create(&beside)?;
        file.write_at(&content(file.id()?)?, 0)?;
        file.sync()?;
        self.rename(&beside, path)?;
        self.sync_folder(folder::above(path))
    }
}

/// Which file it is: what a copy cannot have, whatever its name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// Its number there; another file has it once this one is gone.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970; unknown where the file system does not keep that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<u64>,
}

impl FileId {
    /// The file or folder of a name.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&fs::metadata(path)?))
    }

    pub(crate) fn new(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let born = metadata.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: born.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        }
    }

    /// Whether both are one file. Device numbers are left out: they change when disks are found in another
    /// order.
    pub(crate) fn is_born_as(&self, other: &Self) -> bool {
        let born = self.born.zip(other.born).is_none_or(|(one, two)| one == two);
        self.inode == other.inode && born
    }
}

/// The name under which [`Files::replace`] writes first.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAccess {
    /// Reading alone.
    Read,
    /// Reading and writing.
    Write,
}

/// One open file.
pub trait StoreFile: Send + Sync {
    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// Those of the operating system, as everywhere here.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads up to `bytes.len()` bytes at an offset; fewer only at the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes the content durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// Drops what the operating system remembers of the content, so that the next read shows what
    /// the disk has.
    fn forget_cached(&self) -> io::Result<()>;

    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Which file it is.
    fn id(&self) -> io::Result<FileId>;

    /// The first damage in a range of bytes, where the file itself can tell.
    fn damage_in(&self, _range: Range<u64>) -> Option<String> {
        None
    }

    /// Takes the file's `flock`, for as long as it is open; `false` where another process has it.
    fn lock(&self) -> io::Result<bool>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(SystemFile::new(file)))
    }

    fn open(&self, path: &Path, access: FileAccess) -> io::Result<Box<dyn StoreFile>> {
        let mut options = regular::options();
        let file = regular::open_with(options.read(true).write(access == FileAccess::Write), path)?;
        Ok(Box::new(SystemFile::new(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().mode(mode).create(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

struct SystemFile {
    file: fs::File,
    is_locked: AtomicBool,
}

impl SystemFile {
    fn new(file: fs::File) -> Self {
        Self { file, is_locked: AtomicBool::new(false) }
    }
}

impl Drop for SystemFile {
    fn drop(&mut self) {
        if *self.is_locked.get_mut() {
            unlock(&self.file);
        }
    }
}

impl StoreFile for SystemFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId::new(&self.file.metadata()?))
    }

    fn lock(&self) -> io::Result<bool> {
        let is_taken = lock(&self.file)?;
        self.is_locked.fetch_or(is_taken, Ordering::Relaxed);
        Ok(is_taken)
    }
}

/// Takes the `flock` of an open file or folder; `false` where another process has it. Where the file system locks no
/// such handle (NFS wants one that may write), that is no refusal: the other locks decide.
fn lock(file: &fs::File) -> io::Result<bool> {
    use rustix::fs::FlockOperation;
    use rustix::io::Errno;
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) | Err(Errno::BADF | Errno::OPNOTSUPP) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Lets go of a file's `flock` now: closing the file does that only when each program that is being started meanwhile
/// has closed its copy of it.
fn unlock(file: &fs::File) {
    // Nothing can be done where it fails, and the close follows.
    let _unimportant = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

/// An open file or folder with its `flock`, which is let go of with it.
#[derive(Debug)]
pub(crate) struct LockedFile(fs::File);

impl LockedFile {
    /// Takes the lock; nothing where another process has it.
    pub(crate) fn take(file: fs::File) -> io::Result<Option<Self>> {
        Ok(lock(&file)?.then(|| Self(file)))
    }

    /// The file.
    pub(crate) fn file(&self) -> &fs::File {
        &self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        unlock(&self.0);
    }
}
