//! Room that is kept for the end of a full disk.
//!
//! Law: the journal's room is laid out ahead, the index's is not. When the index finds the disk full,
//! the reserve is given up, so that what has begun can go on into the journal's rest.
//!
//! Made when a store is opened, given up and made again by the keeper.

use std::io;
use std::path::Path;

use super::files::Files;
use super::{ReadError, SegmentSizes};

/// The file's name.
pub(crate) const FILE_NAME: &str = "reserve";
/// A disk with less room than this is full: the index grows by half a megabyte at a time.
const FULL_BYTES: u64 = 4 * 1024 * 1024;
/// What a new segment of the journal leaves to the index and to everybody else.
pub(crate) const MARGIN_BYTES: u64 = 8 * 1024 * 1024;

/// Whether the system refused for want of room: on the disk, or in what the user may take of it.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the system has too little at this moment of what it was asked for: room on the disk, file handles,
/// processes, memory. Later it may have it; what failed says nothing about the work.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let is_scarce =
        |errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS);
    is_disk_full(error) || Errno::from_io_error(error).is_some_and(is_scarce)
}

/// The room that is left in a folder's file system; as much as one likes where that is unknown.
pub(crate) fn left(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the file system has no room for anything that grows.
pub(crate) fn is_full(folder: &Path) -> bool {
    left(folder) < FULL_BYTES
}

/// Whether what failed needs room. A panic of the index does not say what it lacked; the disk does.
pub(crate) fn is_wanted_by(error: &ReadError, folder: &Path) -> bool {
    error.is_full() || (matches!(error, ReadError::Index(_)) && is_full(folder))
}

/// Makes the reserve, a quarter of a segment, if there is room enough and none yet.
pub(crate) fn keep(files: &dyn Files, folder: &Path, sizes: &SegmentSizes) -> io::Result<()> {
    let (path, length) = (folder.join(FILE_NAME), sizes.later / 4);
    if path.exists() || left(folder) < length + MARGIN_BYTES {
        return Ok(());
    }
    // Not synced: it holds room, and says nothing.
    let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
    files.create(&path)?.write_at(&zeros, 0)
}

/// Gives the reserve up.
pub(crate) fn give_up(files: &dyn Files, folder: &Path) {
    match files.remove(&folder.join(FILE_NAME)) {
        Ok(()) => tracing::warn!("the disk is full: the reserve is given up"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "the disk is full, and the reserve cannot be given up"),
    }
}
