//! The storage itself: get, scan, batches, checkpoints; open and close.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use everfold_store::panic_guard;
use everfold_store::sled_error::is_locked;

use super::error::StorageError;
use super::manifest::{self, StorageManifest};
use super::values::{Checkpoint, KeyChanges, StoredPair};

/// Memory for sled's pages.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// sled rewrites the live rest of a segment that is half dead; see the store's own index.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// How often sled writes and syncs its file, also where nothing changed. After a kill the next owner folds again what was
/// not written.
const FLUSH_EVERY_MS: u64 = 10_000;
/// How often an opener tries again while the last handle of an earlier owner in this process is dropped.
const LOCK_PATIENCE: u32 = 250;

/// Keys and values.
pub(crate) enum Storage {
    /// Gone with the process.
    Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>),
    /// In a folder.
    Disk(Disk),
}

/// A storage in a folder.
pub(crate) struct Disk {
    /// `None` after the close: the folder can be opened again.
    db: RwLock<Option<sled::Db>>,
    folder: PathBuf,
}

/// A storage that was opened.
pub(crate) struct OpenedStorage {
    pub(crate) storage: Storage,
    /// The models and positions of the last orderly close; `None`: there was none, or the folder is new.
    pub(crate) closed: Option<BTreeMap<String, u64>>,
}

impl Storage {
    pub(crate) fn memory() -> Self {
        Self::Memory(RwLock::default())
    }

    /// Opens the storage in a folder. Files that cannot be trusted are deleted: another epoch's, and those that
    /// another boot wrote and did not close.
    pub(crate) fn open(folder: &Path, epoch: &str, boot: &str) -> Result<OpenedStorage, StorageError> {
        let found = manifest::read(folder);
        let trusted = found.as_ref().is_some_and(|manifest| manifest.is_trusted(epoch, boot));
        let kept = if trusted { Some(open_sled(folder)) } else { None };
        let kept = match kept {
            // Deleting them would take them from under the process that has them, and cost a fold of the whole log.
            Some(Err(error)) if error.is_passing() => return Err(error),
            Some(Err(error)) => {
                tracing::warn!(folder = %folder.display(), %error, "the read models are folded anew from the log");
                None
            }
            Some(Ok(db)) => Some(db),
            None => None,
        };
        let (storage, closed) = match kept {
            Some(db) => (Self::begun(db, folder, epoch, boot)?, found.and_then(|manifest| manifest.closed)),
            None => (Self::open_anew(folder, epoch, boot)?, None),
        };
        Ok(OpenedStorage { storage, closed })
    }

    /// Opens an empty storage in a folder; what it holds is deleted.
    pub(crate) fn open_anew(folder: &Path, epoch: &str, boot: &str) -> Result<Self, StorageError> {
        discard(folder)?;
        Self::begun(open_sled(folder)?, folder, epoch, boot)
    }

    fn begun(db: sled::Db, folder: &Path, epoch: &str, boot: &str) -> Result<Self, StorageError> {
        let manifest = StorageManifest { epoch: epoch.to_owned(), boot: boot.to_owned(), closed: None };
        manifest::write(folder, &manifest)?;
        Ok(Self::Disk(Disk { db: RwLock::new(Some(db)), folder: folder.to_owned() }))
    }

    /// One value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        match self {
            Self::Memory(map) => Ok(map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()),
            Self::Disk(disk) => disk.with(|db| Ok(db.get(key)?.map(|value| value.to_vec()))),
        }
    }

    /// Up to `limit` pairs with keys from `from` and before `to`, in their order or the other way round.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<StoredPair>, StorageError> {
        if from >= to {
            return Ok(Vec::new());
        }
        match self {
            Self::Memory(map) => {
                let map = map.read().unwrap_or_else(PoisonError::into_inner);
                let range = map.range(from.to_vec()..to.to_vec());
                let pair = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
                Ok(if reverse {
                    range.rev().take(limit).map(pair).collect()
                } else {
                    range.take(limit).map(pair).collect()
                })
            }
            Self::Disk(disk) => disk.with(|db| {
                let range = db.range(from..to);
                let pair = |pair: sled::Result<(sled::IVec, sled::IVec)>| {
                    pair.map(|(key, value)| (key.to_vec(), value.to_vec()))
                };
                let pairs: sled::Result<Vec<StoredPair>> = if reverse {
                    range.rev().take(limit).map(pair).collect()
                } else {
                    range.take(limit).map(pair).collect()
                };
                Ok(pairs?)
            }),
        }
    }

    /// Writes a checkpoint. sled blocks every reader of the process while it takes a batch, so whatever can be
    /// written before the batch is.
    pub(crate) fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        self.write_ahead(checkpoint)?;
        self.change(checkpoint.batch.iter().map(|(key, value)| (&**key, value.as_slice())))
    }

    /// Writes what goes ahead of a checkpoint's batch.
    pub(crate) fn write_ahead(&self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        match self {
            Self::Memory(map) => {
                let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
                map.extend(checkpoint.ahead.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
                Ok(())
            }
            Self::Disk(disk) => disk.with(|db| {
                for (key, value) in &checkpoint.ahead {
                    db.insert(key, value.as_slice())?;
                }
                Ok(())
            }),
        }
    }

    /// Writes everything or nothing.
    pub(crate) fn write(&self, changes: KeyChanges) -> Result<(), StorageError> {
        self.change(changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref().unwrap_or_default())))
    }

    fn change<'a>(&self, changes: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), StorageError> {
        match self {
            Self::Memory(map) => {
                let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
                for (key, value) in changes {
                    if value.is_empty() {
                        map.remove(key);
                    } else {
                        map.insert(key.to_vec(), value.to_vec());
                    }
                }
                Ok(())
            }
            Self::Disk(disk) => disk.with(|db| {
                let mut batch = sled::Batch::default();
                for (key, value) in changes {
                    if value.is_empty() {
                        batch.remove(key);
                    } else {
                        batch.insert(key, value);
                    }
                }
                Ok(db.apply_batch(batch)?)
            }),
        }
    }

    /// Bytes on disk.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::Memory(_) => None,
            Self::Disk(disk) => disk.with(|db| Ok(db.size_on_disk()?)).ok(),
        }
    }

    /// Flushes everything and records an orderly close in the manifest, with the models and their positions.
    pub(crate) fn close(
        &self,
        epoch: &str,
        boot: &str,
        models: BTreeMap<String, u64>,
    ) -> Result<(), StorageError> {
        let Self::Disk(disk) = self else { return Ok(()) };
        disk.with(|db| Ok(db.flush().map(|_| ())?))?;
        drop(disk.db.write().unwrap_or_else(PoisonError::into_inner).take());
        // sled's own flush leaves the disk's cache alone.
        fs::File::open(disk.folder.join("db"))?.sync_data()?;
        let manifest =
            StorageManifest { epoch: epoch.to_owned(), boot: boot.to_owned(), closed: Some(models) };
        Ok(manifest::write(&disk.folder, &manifest)?)
    }
}

impl Disk {
    fn with<T>(&self, work: impl FnOnce(&sled::Db) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(|| StorageError::new("they are closed"))?;
        guarded(|| work(db))
    }
}

fn discard(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(folder)
}

fn open_sled(folder: &Path) -> Result<sled::Db, StorageError> {
    guarded(|| {
        let mut patience = LOCK_PATIENCE;
        loop {
            let opened = sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .segment_size(SEGMENT_BYTES)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .open();
            match opened {
                // sled's threads release the lock a moment after the last handle is dropped.
                Err(error) if patience > 0 && is_locked(&error) => {
                    patience -= 1;
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                other => return Ok(other?),
            }
        }
    })
}

/// Turns a panic of sled, which is how it reports damage, into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
    panic_guard::guarded(work).unwrap_or_else(|what| Err(StorageError::new(format!("sled: {what}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_another_opener_has_locked_are_not_deleted() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("projections");
        let first = Storage::open(&folder, "e", "b").unwrap();
        first.storage.write(vec![(b"key".to_vec(), Some(b"value".to_vec()))]).unwrap();
        // The manifest says that this boot wrote them, so they are trusted.
        let error = Storage::open(&folder, "e", "b").err().expect("they are locked");
        assert!(error.is_passing(), "{error}");
        first.storage.close("e", "b", BTreeMap::new()).unwrap();
        let again = Storage::open(&folder, "e", "b").unwrap();
        assert_eq!(again.storage.get(b"key").unwrap(), Some(b"value".to_vec()));
        assert!(again.closed.is_some());
    }

    #[test]
    fn files_that_are_damaged_are_folded_anew() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("projections");
        let first = Storage::open(&folder, "e", "b").unwrap();
        first.storage.close("e", "b", BTreeMap::new()).unwrap();
        fs::write(folder.join("conf"), "no configuration of sled's").unwrap();
        let again = Storage::open(&folder, "e", "b").unwrap();
        assert!(again.closed.is_none());
    }
}
