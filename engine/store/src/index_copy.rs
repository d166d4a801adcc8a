//! A copy of a closed index, to be looked at: opening sled changes its files, and a damaged one most of all.
//!
//! Called by verification and repair.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::paths::{copied_index_folder, index_folder, remove_folder};
use crate::sled::{Index, IndexError};
use everfold_system::clock;

/// A copy of a closed index, gone when dropped.
pub(crate) struct IndexCopy {
    pub(crate) index: Arc<Index>,
    folder: PathBuf,
}

impl IndexCopy {
    /// Beside the index, or where temporary files go if the folder may only be read.
    ///
    /// # Errors
    /// A full disk says nothing of the index; else why it cannot be copied or opened.
    pub(crate) fn make(folder: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let mut copy = copied_index_folder(folder);
        let mut made = remove_folder(&copy).and_then(|()| fs::create_dir(&copy));
        if made.as_ref().is_err_and(is_forbidden) {
            copy = std::env::temp_dir().join(format!("everfold-verify-{:016x}", clock::draw_u64()));
            made = fs::DirBuilder::new().mode(0o700).create(&copy);
        }
        let made = made.and_then(|()| copy_folder(&index_folder(folder), &copy));
        let opened = made.map_err(IndexError::from).and_then(|()| {
            Index::open(&copy, cache_bytes).map_err(|error| error.about("it cannot be opened"))
        });
        match opened {
            Ok(index) => Ok(Self { index: Arc::new(index), folder: copy }),
            Err(error) => {
                // What stays is removed by the next verification, and by the next start.
                let _unimportant = remove_folder(&copy);
                Err(error)
            }
        }
    }
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        let _unimportant = remove_folder(&self.folder);
    }
}

fn is_forbidden(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
