//! Where read models are kept: keys and values in a sled of their own, or in memory.
//!
//! Law: what is here proves nothing. It may be thrown away at any moment and is folded again from the log.
//! A batch is in as a whole or not at all. No panic of sled's leaves this module; nothing else names sled.
//!
//! Called by [`crate::tx`] and [`crate::look`] and, to open and close it, by the read side.

mod mark;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub(crate) use mark::Mark;

/// The shelf could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the read models' files: {what}")]
pub struct ShelfError {
    what: String,
}

impl ShelfError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl From<sled::Error> for ShelfError {
    fn from(error: sled::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<io::Error> for ShelfError {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Keys with what they are to be; `None`: gone.
pub(crate) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;
/// A key with its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A key that readers, the fold and its checkpoint share.
pub(crate) type Key = Arc<[u8]>;
/// A value that readers and the fold share.
pub(crate) type Value = Arc<Vec<u8>>;

/// What brings the shelf to where a model is.
#[derive(Default)]
pub(crate) struct Checkpoint {
    /// What is written first, key by key.
    pub(crate) ahead: Vec<(Key, Value)>,
    /// What goes in as a whole; an empty value: gone.
    pub(crate) batch: Vec<(Key, Value)>,
}

/// Memory for sled's pages.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// sled writes anew what is left of a segment that is half dead; see the store's own index.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// How long an opener waits for the last handle of an earlier owner in this process to go.
const LOCK_PATIENCE: u32 = 250;

/// Keys and values.
pub(crate) enum Shelf {
    /// Gone with the process.
    Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>),
    /// In a folder.
    Disk(Disk),
}

/// A shelf in a folder.
pub(crate) struct Disk {
    /// `None` after the close: the folder can be opened again.
    db: RwLock<Option<sled::Db>>,
    folder: PathBuf,
}

/// What can be told of a shelf that was opened.
pub(crate) struct Opened {
    pub(crate) shelf: Shelf,
    /// What the last orderly end said; `None`: there was none, or the folder is new.
    pub(crate) closed: Option<BTreeMap<String, u64>>,
}

impl Shelf {
    pub(crate) fn memory() -> Self {
        Self::Memory(RwLock::default())
    }

    /// Opens the shelf in a folder. What cannot be believed is thrown away: another epoch's, and what
    /// another boot wrote and did not close.
    pub(crate) fn open(folder: &Path, epoch: &str, boot: &str) -> Result<Opened, ShelfError> {
        let found = mark::read(folder);
        let believed = found.as_ref().is_some_and(|mark| mark.is_believed(epoch, boot));
        let kept = if believed { open_sled(folder).ok() } else { None };
        let (db, closed) = match kept {
            Some(db) => (db, found.and_then(|mark| mark.closed)),
            None => {
                discard(folder)?;
                (open_sled(folder)?, None)
            }
        };
        let mark = Mark { epoch: epoch.to_owned(), boot: boot.to_owned(), closed: None };
        mark::write(folder, &mark)?;
        Ok(Opened {
            shelf: Self::Disk(Disk { db: RwLock::new(Some(db)), folder: folder.to_owned() }),
            closed,
        })
    }

    /// One value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
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
    ) -> Result<Vec<Pair>, ShelfError> {
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
                let pairs: sled::Result<Vec<Pair>> = if reverse {
                    range.rev().take(limit).map(pair).collect()
                } else {
                    range.take(limit).map(pair).collect()
                };
                Ok(pairs?)
            }),
        }
    }

    /// Brings the shelf up to a checkpoint. sled holds off every reader of the process while it takes a batch:
    /// so whatever can go ahead of it does.
    pub(crate) fn put_away(&self, checkpoint: &Checkpoint) -> Result<(), ShelfError> {
        self.put_ahead(checkpoint)?;
        self.change(checkpoint.batch.iter().map(|(key, value)| (&**key, value.as_slice())))
    }

    /// Writes what goes ahead of a checkpoint's batch.
    pub(crate) fn put_ahead(&self, checkpoint: &Checkpoint) -> Result<(), ShelfError> {
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
    pub(crate) fn write(&self, changes: Changes) -> Result<(), ShelfError> {
        self.change(changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref().unwrap_or_default())))
    }

    fn change<'a>(&self, changes: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), ShelfError> {
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

    /// Hands everything to the system and says that this end was an orderly one, with the models that
    /// are in it and how far they are.
    pub(crate) fn close(
        &self,
        epoch: &str,
        boot: &str,
        models: BTreeMap<String, u64>,
    ) -> Result<(), ShelfError> {
        let Self::Disk(disk) = self else { return Ok(()) };
        disk.with(|db| Ok(db.flush().map(|_| ())?))?;
        drop(disk.db.write().unwrap_or_else(PoisonError::into_inner).take());
        // sled's own flush leaves the disk's cache alone.
        fs::File::open(disk.folder.join("db"))?.sync_data()?;
        let mark = Mark { epoch: epoch.to_owned(), boot: boot.to_owned(), closed: Some(models) };
        Ok(mark::write(&disk.folder, &mark)?)
    }
}

impl Disk {
    fn with<T>(&self, work: impl FnOnce(&sled::Db) -> Result<T, ShelfError>) -> Result<T, ShelfError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(|| ShelfError::new("they are closed"))?;
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

fn open_sled(folder: &Path) -> Result<sled::Db, ShelfError> {
    guarded(|| {
        let mut patience = LOCK_PATIENCE;
        loop {
            let opened = sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .segment_size(SEGMENT_BYTES)
                .open();
            match opened {
                // Its threads let go of the lock a moment after the last handle is dropped.
                Err(error) if patience > 0 && error.to_string().contains("acquire lock") => {
                    patience -= 1;
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                other => return Ok(other?),
            }
        }
    })
}

/// sled panics on damage: its way of failing.
fn guarded<T>(work: impl FnOnce() -> Result<T, ShelfError>) -> Result<T, ShelfError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(ShelfError::new(format!("sled: {text}")))
    })
}
