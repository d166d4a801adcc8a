//! No new attempt starts while living ones are re-attached.
//!
//! Law: starts are held until the last of several recoveries is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The recoveries of an engine that hold back new attempts.
#[derive(Default)]
pub(crate) struct StartHolds {
    count: Mutex<usize>,
    is_held: AtomicBool,
}

impl StartHolds {
    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    /// One more holds; the first one calls `hold`, before another one can begin or end.
    pub(crate) fn begin(&self, hold: impl FnOnce()) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        if *count == 1 {
            self.is_held.store(true, Ordering::Release);
            hold();
        }
    }

    /// One holds no more; the last one calls `release`.
    pub(crate) fn end(&self, release: impl FnOnce()) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.is_held.store(false, Ordering::Release);
            release();
        }
    }
}
