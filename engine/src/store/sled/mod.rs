//! The index: the streams as they are read, kept by sled, derived from the journal.
//!
//! Law: the index proves nothing. It may be thrown away at any moment and is built again from the
//! journal; nothing is acknowledged because it is here. No panic of sled's leaves this module.
//!
//! Called by the store's threads and, on blocking threads, by its readers. Nothing else names sled.

mod apply;
mod keys;
mod read;
mod rebuild;
mod values;

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::id::Position;
use crate::store::{ReadError, is_disk_full};

pub(crate) use apply::{Behind, IndexBatch, IndexEntry};
pub(crate) use rebuild::catch_up;
pub(crate) use values::appends_in;

/// The index failed, or panicked, which is its way of failing on damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct IndexError {
    what: String,
    cause: Cause,
}

/// What is to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The disk had no room for what it wanted to write.
    Full,
    /// Another process has its files locked: they are no damage.
    InUse,
    Other,
}

impl IndexError {
    /// A failure for any cause but a full disk.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: Cause::Other }
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        let cause = if is_disk_full(&error) { Cause::Full } else { Cause::Other };
        Self { what: error.to_string(), cause }
    }
}

impl From<::sled::Error> for IndexError {
    fn from(error: ::sled::Error) -> Self {
        let cause = match &error {
            ::sled::Error::Io(cause) if is_disk_full(cause) => Cause::Full,
            error if is_locked(error) => Cause::InUse,
            _ => Cause::Other,
        };
        Self { what: error.to_string(), cause }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error.cause {
            Cause::Full => Self::Full,
            Cause::InUse => Self::IndexInUse(error.what),
            Cause::Other => Self::Index(error.what),
        }
    }
}

/// Whether sled did not get the lock of its files. It says so in words alone.
fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock"))
}

/// The layout of keys and values that this code writes and reads. An index of another one is built again
/// from the journal. 1, which is not written down: one value for each append.
const LAYOUT: u32 = 2;

/// How long sled's segments are. It writes anew what is left of one that is half dead, so those with the
/// bare keys of a batch should hold more than these: with 512 KiB half as much again is written.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// Those of the first layout, whose position must be readable still.
const SEGMENT_BYTES_BEFORE: usize = 512 * 1024;

/// How long an opener waits for the last handle of an earlier owner in this process to go.
const LOCK_PATIENCE: u32 = 250;

/// An open index.
pub(crate) struct Index {
    db: ::sled::Db,
    /// sled's own flush leaves the disk's cache alone; a checkpoint syncs through this handle.
    file: fs::File,
    /// The last position that was applied, to notice one that was left out.
    held: AtomicU64,
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

    fn guarded<T>(&self, body: impl FnOnce(&::sled::Db) -> Result<T, IndexError>) -> Result<T, IndexError> {
        guarded(|| body(&self.db))
    }
}

/// Waits until an index that was dropped has written its last byte, and makes that durable.
pub(crate) fn settle(folder: &Path) -> Result<(), IndexError> {
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

thread_local! {
    /// A panic on this thread is sled's, and becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Turns a panic into an error, and keeps it from being reported as a fault of the program.
fn guarded<T>(body: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.try_with(Cell::get).unwrap_or(false) {
                report(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    outcome.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(IndexError::new(format!("the index panicked: {what}")))
    })
}
