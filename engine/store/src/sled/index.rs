//! An open index: its files, its layout, the position that it holds.
//!
//! Law: an index of another layout is not read beyond its position; no panic of sled's leaves it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::IndexError;
use super::keys;
use crate::panic_guard;
use crate::sled_error::is_locked;
use everfold_base::id::Position;

/// The layout of keys and values that this code writes and reads. An index of another one is built again
/// from the journal. 1, which is not written down: one value for each append. 2: values are not compressed.
const LAYOUT: u32 = 3;

/// How long sled's segments are. It writes anew what is left of one that is half dead, so those with the
/// bare keys of a batch should hold more than these: with 512 KiB half as much again is written.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// Those of the first layout, whose position must be readable still.
const SEGMENT_BYTES_BEFORE: usize = 512 * 1024;

/// How long an opener waits for the last handle of an earlier owner in this process to go.
const LOCK_PATIENCE: u32 = 250;

/// How long to wait before it is looked again whether the last reader has let go.
const UNUSED_PAUSE: Duration = Duration::from_millis(1);

/// An open index.
pub(crate) struct Index {
    pub(super) db: ::sled::Db,
    /// sled's own flush leaves the disk's cache alone; a checkpoint syncs through this handle.
    file: fs::File,
    /// The last position that was applied, to notice one that was left out.
    pub(super) held: AtomicU64,
    is_readable: bool,
}

impl Index {
    /// Opens or makes the index in a folder.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(|| {
            let mut patience = LOCK_PATIENCE;
            let mut segment_bytes = SEGMENT_BYTES;
            let db = loop {
                let opened = ::sled::Config::new()
                    .path(folder)
                    .cache_capacity(cache_bytes)
                    .flush_every_ms(None)
                    .segment_size(segment_bytes)
                    .open();
                match opened {
                    // Its threads let go of the lock a moment after the last handle is dropped.
                    Err(error) if patience > 0 && is_locked(&error) => {
                        patience -= 1;
                        std::thread::park_timeout(Duration::from_millis(20));
                    }
                    Err(::sled::Error::Unsupported(_)) if segment_bytes == SEGMENT_BYTES => {
                        segment_bytes = SEGMENT_BYTES_BEFORE;
                    }
                    other => break other?,
                }
            };
            let file = fs::File::open(folder.join("db"))?;
            if db.is_empty() {
                db.insert(keys::LAYOUT, &LAYOUT.to_le_bytes())?;
            }
            let is_readable = db.get(keys::LAYOUT)?.is_some_and(|layout| *layout == LAYOUT.to_le_bytes());
            let index = Self { db, file, held: AtomicU64::new(0), is_readable };
            index.held.store(index.position()?.0, Ordering::Release);
            Ok(index)
        })
    }

    /// The last position that it holds.
    pub(crate) fn position(&self) -> Result<Position, IndexError> {
        self.guarded(|db| match db.get(keys::POSITION)? {
            None => Ok(Position::ZERO),
            Some(value) => value
                .as_ref()
                .try_into()
                .map(|bytes| Position(u64::from_le_bytes(bytes)))
                .map_err(|_| IndexError::new("its position is not readable")),
        })
    }

    /// Whether it has the layout that this code reads. Its position can be read in any case.
    pub(crate) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Makes durable what it holds.
    pub(crate) fn checkpoint(&self) -> Result<(), IndexError> {
        self.guarded(|db| {
            db.flush()?;
            Ok(self.file.sync_data()?)
        })
    }

    /// Hands everything to the operating system, so that it survives the process.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        self.guarded(|db| db.flush().map(|_| ()).map_err(IndexError::from))
    }

    /// The last position that was applied.
    pub(crate) fn held(&self) -> Position {
        Position(self.held.load(Ordering::Acquire))
    }

    pub(crate) fn guarded<T>(
        &self,
        body: impl FnOnce(&::sled::Db) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        guarded(|| body(&self.db))
    }
}

/// Turns a panic of sled's into an error.
fn guarded<T>(body: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    panic_guard::guarded(body)
        .unwrap_or_else(|what| Err(IndexError::new(format!("the index panicked: {what}"))))
}

/// Waits until an index that was dropped has written its last byte, and makes that durable.
pub(crate) fn sync_released(folder: &Path) -> Result<(), IndexError> {
    let file = fs::File::open(folder.join("db"))?;
    for _ in 0..LOCK_PATIENCE {
        // Its threads hold the lock for as long as they may write.
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file.sync_data()?),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::park_timeout(Duration::from_millis(2)),
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    Err(IndexError::new("it did not let go of its files"))
}

/// Waits until the last reader has let go of the index, so that the folder can be opened again.
pub(crate) fn close_when_unused(mut index: Arc<Index>) {
    loop {
        match Arc::try_unwrap(index) {
            Ok(last) => return drop(last),
            Err(shared) => {
                index = shared;
                std::thread::park_timeout(UNUSED_PAUSE);
            }
        }
    }
}
