//! Files and folders that only their owner may read, and what an error of the file system says.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use everfold_system::folder;
use everfold_system::os_error::{errno, is_shortage};
use everfold_system::regular;

/// Whether an error says nothing about the file: the system cannot read it, or not now.
pub(crate) fn is_of_the_system(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let is_broken = |errno| matches!(errno, Errno::IO | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT);
    is_shortage(error) || errno(error).is_some_and(is_broken)
}

/// `None` where the file is not there.
pub(crate) fn if_there<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder that only its owner may read, durable in the one above it.
pub(crate) fn make_private(path: &Path) -> std::io::Result<()> {
    folder::create_private(path)
}

/// Writes a file that only its owner may read, for a process that is not started yet. A crash may leave half of it, and a
/// power cut nothing: it is written anew then, before anything reads it.
pub(crate) fn write_draft(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = regular::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Writes a file that only its owner may read: wholly or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = regular::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(new, path)
}
