//! Room on the disk that is kept back for the time when it is full.
//!
//! Law: the journal's room is laid out ahead, the index's is not. When the index finds the disk full,
//! the reserve is given up, so that what has begun can go on into the journal's rest.
//!
//! Made when a store is opened, that of a new store by the checkpointer; given up and made again by the checkpointer.

use std::io;
use std::path::Path;

use super::error::ReadError;
use super::files::Files;
use super::journal::segment::SegmentSizes;
use everfold_system::room::bytes_left;

/// The file's name.
pub(crate) const FILE_NAME: &str = "reserve";
/// A disk with less room than this is full: the index grows by half a megabyte at a time.
const FULL_BYTES: u64 = 4 * 1024 * 1024;
/// What a new segment of the journal leaves to the index and to other programs.
pub(crate) const MARGIN_BYTES: u64 = 8 * 1024 * 1024;

/// Whether the file system has no room for anything that grows.
pub(crate) fn is_full(folder: &Path) -> bool {
    bytes_left(folder) < FULL_BYTES
}

/// Whether the file system of a folder has room for what grows. The journal's room is laid out ahead: it goes on for a while
/// where there is none, and then no large value can be kept, and no attempt begins. True where it is unknown.
#[must_use]
pub fn has_room(folder: &Path) -> bool {
    !is_full(folder)
}

/// Whether what failed needs room. A panic of the index does not say what it lacked; the disk does.
pub(crate) fn is_wanted_by(error: &ReadError, folder: &Path) -> bool {
    error.is_full() || (matches!(error, ReadError::Index(_)) && is_full(folder))
}

/// Makes the reserve, a quarter of a segment, if there is room enough and none yet.
pub(crate) fn keep(files: &dyn Files, folder: &Path, sizes: &SegmentSizes) -> io::Result<()> {
    let (path, length) = (folder.join(FILE_NAME), sizes.later / 4);
    if path.exists() || bytes_left(folder) < length + MARGIN_BYTES {
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
