//! Ownership of a data folder by one process.
//!
//! Law: the `flock` decides; the process id in the file only informs. The kernel lets go of the lock
//! with the process, however it ends.
//!
//! Taken when a store is opened, kept until it is closed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::OpenError;

/// The file's name.
pub(crate) const FILE_NAME: &str = "lock";

/// The right to write to a folder, for as long as it lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// Held for its lock.
    _file: File,
}

impl FolderLock {
    /// Takes the lock.
    pub(crate) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| super::open::not_opened(path.clone(), source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed(explain(folder, error)))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The owner may be just writing it; the error is the same without a number.
                let _informative = file.read_to_string(&mut text);
                return Err(OpenError::InUse { pid: text.trim().parse().unwrap_or(0) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let written = (|| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        })();
        match written {
            // On a full disk the lock holds all the same.
            Err(error) if !super::is_disk_full(&error) => Err(failed(error)),
            _ => Ok(Self { _file: file }),
        }
    }
}

/// Says whose folder it is, where that is the reason.
fn explain(folder: &Path, error: io::Error) -> io::Error {
    use std::os::unix::fs::MetadataExt as _;
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let Ok(metadata) = std::fs::metadata(folder) else { return error };
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return error;
    }
    io::Error::new(error.kind(), format!("{error}: the folder belongs to user {owner}, this is user {user}"))
}
