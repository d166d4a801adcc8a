//! A copy of a closed index, to be looked at: opening sled changes its files, and a damaged one most of all.
//!
//! Called by verification and repair.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::Files;
use crate::paths::{copied_index_folder, index_folder, remove_folder};
use crate::sled::{Index, IndexError};
use everfold_system::clock;

/// A copy of a closed index, gone when dropped.
pub(crate) struct IndexCopy {
    pub(crate) index: Arc<Index>,
    folder: PathBuf,
}

/// Why an index cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCopied {
    /// It says nothing of the index: the copy could not be written, or the index not be read.
    #[error("it could not be copied to {folder} to be looked at: {source}", folder = folder.display())]
    Io {
        /// Where the copy was to be.
        folder: PathBuf,
        source: io::Error,
    },
    /// The copy cannot be opened.
    #[error("{0}")]
    Unreadable(IndexError),
}

impl IndexCopy {
    /// Beside the index, or where temporary files go if the folder may only be read.
    ///
    /// # Errors
    /// [`NotCopied`]; nothing is left of the copy then.
    pub(crate) fn make(files: &dyn Files, folder: &Path, cache_bytes: u64) -> Result<Self, NotCopied> {
        let mut copy = copied_index_folder(folder);
        let mut made = remove_folder(&copy).and_then(|()| files.make_folder(&copy, 0o777));
        if made.as_ref().is_err_and(is_forbidden) {
            copy = std::env::temp_dir().join(format!("everfold-verify-{:016x}", clock::draw_u64()));
            made = files.make_folder(&copy, 0o700);
        }
        let opened = made
            .and_then(|()| copy_folder(&index_folder(folder), &copy))
            .map_err(|source| NotCopied::Io { folder: copy.clone(), source })
            .and_then(|()| {
                Index::open(&copy, cache_bytes).map_err(|error| match error.of_system() {
                    Some(source) => NotCopied::Io { folder: copy.clone(), source },
                    None => NotCopied::Unreadable(error.about("it cannot be opened")),
                })
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

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
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
