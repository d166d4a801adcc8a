//! What the checkpointer is asked for.
//!
//! Law: a request is never lost; several of one kind are one.
//!
//! Made by `post_commit`, by readers and by the index writer; taken by `checkpointer`.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The requests that stand.
#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) checkpoint: bool,
    pub(crate) rebuild: bool,
    pub(crate) stop: bool,
}

/// Requests to the checkpointer.
#[derive(Default)]
pub(crate) struct CheckpointRequests {
    requested: Mutex<Requests>,
    changed: Condvar,
}

impl CheckpointRequests {
    /// The requests that stand, locked.
    pub(crate) fn requested(&self) -> MutexGuard<'_, Requests> {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was written that a checkpoint should cover.
    pub(crate) fn request_checkpoint(&self) {
        let mut requested = self.requested();
        if !requested.checkpoint {
            requested.checkpoint = true;
            self.changed.notify_all();
        }
    }

    /// The index failed and is to be rebuilt.
    pub(crate) fn request_rebuild(&self) {
        self.requested().rebuild = true;
        self.changed.notify_all();
    }

    /// Ends the checkpointer.
    pub(crate) fn stop(&self) {
        self.requested().stop = true;
        self.changed.notify_all();
    }

    /// Waits for the next request, that long at most.
    pub(crate) fn wait<'a>(
        &self,
        requested: MutexGuard<'a, Requests>,
        span: Duration,
    ) -> MutexGuard<'a, Requests> {
        self.changed.wait_timeout(requested, span).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits that long, or until the end is requested or the index fails.
    pub(crate) fn wait_for<'a>(
        &self,
        requested: MutexGuard<'a, Requests>,
        span: Duration,
    ) -> MutexGuard<'a, Requests> {
        let rebuild = requested.rebuild;
        let waited = self
            .changed
            .wait_timeout_while(requested, span, |requested| !requested.stop && requested.rebuild == rebuild);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
