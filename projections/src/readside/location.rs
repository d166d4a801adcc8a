//! Where read models are stored, and what their files must agree with to be trusted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::storage::{Storage, StorageError};

/// Where the read models are kept.
#[derive(Debug, Clone)]
pub struct StorageLocation {
    /// The folder; `None`: in memory.
    pub folder: Option<PathBuf>,
    /// The store's epoch: models of another epoch are not trusted.
    pub epoch: String,
    /// The kernel's name for this boot.
    pub boot: String,
    /// The data folder with the values that are too large for an event; `None`: they count as unknown.
    pub values: Option<PathBuf>,
}

impl StorageLocation {
    /// Read models in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self { folder: None, epoch: String::new(), boot: String::new(), values: None }
    }

    /// Read models in a folder.
    #[must_use]
    pub fn folder(folder: PathBuf, epoch: &str) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { folder: Some(folder), epoch: epoch.to_owned(), boot: boot.trim().to_owned(), values: None }
    }

    /// Reads what is too large for an event from this data folder.
    #[must_use]
    pub fn with_values(self, data_folder: PathBuf) -> Self {
        Self { values: Some(data_folder), ..self }
    }

    /// Opens the storage; that needs nothing of the store but its epoch. Blocks for as long as sled takes.
    ///
    /// # Errors
    /// The folder cannot be made or written. Files in it that cannot be trusted or read are no error: they are removed.
    pub fn open(self) -> Result<ReadStorage, StorageError> {
        let (storage, closed) = match &self.folder {
            None => (Storage::memory(), None),
            Some(folder) => {
                let opened = Storage::open(folder, &self.epoch, &self.boot)?;
                (opened.storage, opened.closed)
            }
        };
        Ok(ReadStorage { location: self, storage, closed })
    }

    /// Opens an empty storage in the place of one that cannot be read, and that no handle has open any more.
    pub(super) fn open_anew(&self) -> Result<Storage, StorageError> {
        match &self.folder {
            None => Ok(Storage::memory()),
            Some(folder) => Storage::open_anew(folder, &self.epoch, &self.boot),
        }
    }
}

/// The storage of read models, opened.
pub struct ReadStorage {
    pub(super) location: StorageLocation,
    pub(super) storage: Storage,
    /// The positions of an orderly end.
    pub(super) closed: Option<BTreeMap<String, u64>>,
}
