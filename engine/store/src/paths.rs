//! The names of the store's folders inside a data folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The journal's folder inside the data folder.
pub(crate) const JOURNAL_FOLDER: &str = "journal";
/// The index's folder inside the data folder.
pub(crate) const INDEX_FOLDER: &str = "sled";

/// The journal's folder of a data folder.
pub(crate) fn journal_folder(folder: &Path) -> PathBuf {
    folder.join(JOURNAL_FOLDER)
}

/// The index's folder of a data folder.
pub(crate) fn index_folder(folder: &Path) -> PathBuf {
    folder.join(INDEX_FOLDER)
}

/// Where a new index of a data folder is built while there is an old one.
pub(crate) fn new_index_folder(folder: &Path) -> PathBuf {
    folder.join("sled.tmp")
}

/// Where a verification or a repair copies the index of a data folder to, for as long as it looks at it.
pub(crate) fn copied_index_folder(folder: &Path) -> PathBuf {
    folder.join("sled.verify.tmp")
}

/// Removes a folder that may not be there.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
