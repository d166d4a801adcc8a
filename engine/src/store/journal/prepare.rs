//! Makes the next segment's file before it is needed.
//!
//! Law: a segment is a new file, filled with zeros and synced, never a used one; so a group's sync
//! writes data alone, and stale bytes are never read.
//!
//! The store's keeper thread does the work; the journal's writer asks for it from half-way on and
//! takes the result.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::files::{Files, StoreFile};
use crate::store::reserve;

/// How long to wait before a failed preparation is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const CHUNK: usize = 1024 * 1024;

/// A file full of zeros, durable under a temporary name.
pub(crate) struct Prepared {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn StoreFile>,
    pub(crate) capacity: u64,
}

/// The name of a file that is being prepared; whatever has it at start is removed.
pub(crate) const PREPARED_NAME: &str = "prepared.tmp";

#[derive(Default)]
struct State {
    wanted: Option<u64>,
    ready: Option<Prepared>,
    failed: Option<String>,
    stopped: bool,
}

/// The desk between the writer, who wants segments, and the thread that makes them.
pub(crate) struct Preparer {
    files: Arc<dyn Files>,
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    on_failed: Box<dyn Fn(bool) + Send + Sync>,
}

impl Preparer {
    /// `on_failed` is told when no segment can be had (`true`) and when one can again.
    pub(crate) fn new(
        files: Arc<dyn Files>,
        folder: &Path,
        on_failed: impl Fn(bool) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            files,
            folder: folder.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
            on_failed: Box::new(on_failed),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
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

    /// Whether the last try to make the wanted segment failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed.is_some()
    }

    /// The segment, waiting for one that is being made.
    ///
    /// # Errors
    /// Why none can be had now.
    pub(crate) fn take(&self, capacity: u64) -> Result<Prepared, String> {
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
                return Err("the store is being closed".into());
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
            let made = prepare(self.files.as_ref(), &self.folder, capacity);
            state = self.state();
            match made {
                Ok(prepared) => {
                    state.wanted = None;
                    state.ready = Some(prepared);
                    if state.failed.take().is_some() {
                        tracing::info!("there is room again for the journal");
                        (self.on_failed)(false);
                    }
                    self.changed.notify_all();
                }
                Err(error) => {
                    if state.failed.replace(error.to_string()).is_none() {
                        tracing::warn!(%error, "no room for the journal's next segment");
                        (self.on_failed)(true);
                    }
                    self.changed.notify_all();
                    let waited = self.changed.wait_timeout(state, RETRY_AFTER);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        if let Some(prepared) = state.ready.take() {
            // What stays is removed at the next start.
            let _unimportant = self.files.remove(&prepared.path);
        }
    }
}

/// Makes a file full of zeros.
pub(crate) fn prepare(files: &dyn Files, folder: &Path, capacity: u64) -> io::Result<Prepared> {
    let path = folder.join(PREPARED_NAME);
    if reserve::left(folder) < capacity + reserve::MARGIN_BYTES {
        // The rest is for the index, and for what has begun.
        return Err(io::ErrorKind::StorageFull.into());
    }
    match files.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = files.create(&path)?;
    let fill = || -> io::Result<()> {
        let zeros = vec![0; CHUNK];
        let mut offset = 0;
        while offset < capacity {
            let length = usize::try_from(capacity - offset).map_or(CHUNK, |left| left.min(CHUNK));
            file.write_at(&zeros[..length], offset)?;
            // Synced in pieces, so that the groups of the living segment get through between them.
            file.sync()?;
            offset += length as u64;
        }
        Ok(())
    };
    match fill() {
        Ok(()) => Ok(Prepared { path, file, capacity }),
        Err(error) => {
            // A half-filled file would keep the room that others need.
            let _unimportant = files.remove(&path);
            Err(error)
        }
    }
}
