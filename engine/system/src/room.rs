//! How much room a disk has left.

use std::path::Path;

/// The bytes that are left to this user in the file system of a folder; `u64::MAX` where that is unknown.
#[must_use]
pub fn bytes_left(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}
