//! Makes the next segment's file before it is needed.
//!
//! Law: a segment is a new file, filled with zeros and synced, never a used one; so a group's sync
//! writes data alone, and stale bytes are never read.
//!
//! A thread of the store does the work; the journal's writer asks for it once a segment is half full, and takes the
//! result.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::disk_reserve;
use crate::files::{Files, StoreFile};
use crate::lock::FolderLock;
use everfold_system::os_error::is_disk_full;
use everfold_system::room::bytes_left;

/// How long to wait before a failed preparation is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const CHUNK: usize = 1024 * 1024;

/// A file full of zeros, durable under a temporary name.
pub(crate) struct PreparedSegment {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn StoreFile>,
    pub(crate) capacity: u64,
}

/// The name of a file that is being prepared; whatever has it at start is removed.
pub(crate) const PREPARED_NAME: &str = "prepared.tmp";

/// Why there is no segment to go on in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct NoSegment {
    pub(crate) what: String,
    /// For want of room.
    pub(crate) is_full: bool,
}

impl From<io::Error> for NoSegment {
    fn from(error: io::Error) -> Self {
        Self { what: error.to_string(), is_full: is_disk_full(&error) }
    }
}

#[derive(Default)]
struct PreparerState {
    wanted: Option<u64>,
    ready: Option<PreparedSegment>,
    failed: Option<NoSegment>,
    stopped: bool,
}

/// Requests of the journal's writer to the thread that makes segments, and what it made.
pub(crate) struct Preparer {
    files: Arc<dyn Files>,
    folder: PathBuf,
    lock: Arc<FolderLock>,
    state: Mutex<PreparerState>,
    changed: Condvar,
    on_full: Box<dyn Fn(bool) + Send + Sync>,
}

impl Preparer {
    /// `on_full` is called with `true` when there is no room for a segment, and with `false` when there is again.
    pub(crate) fn new(
        files: Arc<dyn Files>,
        folder: &Path,
        lock: Arc<FolderLock>,
        on_full: impl Fn(bool) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            files,
            folder: folder.to_owned(),
            lock,
            state: Mutex::default(),
            changed: Condvar::new(),
            on_full: Box::new(on_full),
        })
    }

    /// The right to write to the folder.
    pub(super) fn lock(&self) -> Arc<FolderLock> {
        self.lock.clone()
    }

    fn state(&self) -> MutexGuard<'_, PreparerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a segment, unless one is ready or asked for.
    pub(crate) fn request(&self, capacity: u64) {
        let mut state = self.state();
        if state.wanted.is_none() && state.ready.is_none() {
            state.wanted = Some(capacity);
            self.changed.notify_all();
        }
    }

    /// Whether there was no room for the wanted segment.
    pub(crate) fn is_short_of_room(&self) -> bool {
        self.state().failed.as_ref().is_some_and(|why| why.is_full)
    }

    /// The segment, or why the last try to make it failed; `None` while it is being made.
    pub(crate) fn poll(&self, capacity: u64) -> Option<Result<PreparedSegment, NoSegment>> {
        self.request(capacity);
        let mut state = self.state();
        match state.ready.take() {
            Some(prepared) => Some(Ok(prepared)),
            None => state.failed.clone().map(Err),
        }
    }

    /// The segment, waiting for one that is being made.
    ///
    /// # Errors
    /// Why none can be had now.
    pub(crate) fn take(&self, capacity: u64) -> Result<PreparedSegment, NoSegment> {
        self.request(capacity);
        let mut state = self.state();
        loop {
            if let Some(prepared) = state.ready.take() {
                return Ok(prepared);
            }
            if let Some(why) = &state.failed {
                return Err(why.clone());
            }
            if state.stopped {
                return Err(NoSegment { what: "the store is being closed".into(), is_full: false });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends [`Self::run`].
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Makes segments as they are asked for, until [`Self::stop`]. The thread's whole life.
    pub(crate) fn run(&self) {
        let mut state = self.state();
        while !state.stopped {
            let Some(capacity) = state.wanted else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let made = self.make(capacity);
            state = self.state();
            match made {
                Ok(prepared) => {
                    state.wanted = None;
                    state.ready = Some(prepared);
                    if state.failed.take().is_some() {
                        tracing::info!("the journal's next segment is there");
                        (self.on_full)(false);
                    }
                    self.changed.notify_all();
                }
                Err(why) => {
                    let is_full = why.is_full;
                    if state.failed.as_ref() != Some(&why) {
                        tracing::warn!(%why, "the journal's next segment cannot be had");
                    }
                    state.failed = Some(why);
                    (self.on_full)(is_full);
                    self.changed.notify_all();
                    let waited = self.changed.wait_timeout(state, RETRY_AFTER);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        if let Some(prepared) = state.ready.take()
            && self.lock.check().is_ok()
        {
            // What stays is removed at the next start.
            let _unimportant = self.files.remove(&prepared.path);
        }
    }

    /// Makes one. A panic is a failure like others: the writer waits for an answer.
    fn make(&self, capacity: u64) -> Result<PreparedSegment, NoSegment> {
        self.lock.check().map_err(|lost| NoSegment { what: lost.to_string(), is_full: false })?;
        let made = catch_unwind(AssertUnwindSafe(|| prepare(self.files.as_ref(), &self.folder, capacity)));
        let made = made.unwrap_or_else(|_panic| Err(io::Error::other("a panic within Everfold")));
        Ok(made?)
    }
}

/// Fills a file with zeros from one offset up to another, durably.
pub(crate) fn fill(file: &dyn StoreFile, from: u64, to: u64) -> io::Result<()> {
    if from >= to {
        return Ok(());
    }
    let zeros = vec![0; CHUNK];
    let mut offset = from;
    while offset < to {
        let length = usize::try_from(to - offset).map_or(CHUNK, |left| left.min(CHUNK));
        file.write_at(&zeros[..length], offset)?;
        // Synced in pieces, so that the groups of the living segment get through between them.
        file.sync()?;
        offset += length as u64;
    }
    Ok(())
}

/// Makes a file full of zeros.
pub(crate) fn prepare(files: &dyn Files, folder: &Path, capacity: u64) -> io::Result<PreparedSegment> {
    let path = folder.join(PREPARED_NAME);
    if bytes_left(folder) < capacity + disk_reserve::MARGIN_BYTES {
        // The rest is for the index, and for what has begun.
        return Err(io::ErrorKind::StorageFull.into());
    }
    match files.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = files.create(&path)?;
    match fill(file.as_ref(), 0, capacity) {
        Ok(()) => Ok(PreparedSegment { path, file, capacity }),
        Err(error) => {
            // A half-filled file would keep the room that others need.
            let _unimportant = files.remove(&path);
            Err(error)
        }
    }
}
