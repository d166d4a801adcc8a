//! Folders that a command makes under the names of its supervisor's files.

use std::path::Path;

/// Whether a folder stands there, and no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.is_dir())
}

/// Removes a folder that stands under the name of a file of the supervisor, with all that it holds.
pub(super) fn remove_folder(path: &Path) -> std::io::Result<()> {
    if is_folder(path) { std::fs::remove_dir_all(path) } else { Ok(()) }
}
