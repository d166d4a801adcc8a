//! The earliest moment at which a run that is not loaded is to be woken.

use everfold_base::time::Timestamp;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use tokio::sync::Notify;

/// The earliest wake of the runs that left memory, for the wake task of [`crate::recovery`].
#[derive(Default)]
pub(crate) struct WakeTimes {
    /// The wake task runs; without it runs with timers stay loaded.
    pub(crate) attended: AtomicBool,
    earliest: Mutex<Option<Timestamp>>,
    pub(crate) changed: Notify,
}

impl WakeTimes {
    /// A run with a timer left memory.
    pub(crate) fn parked(&self, at: Timestamp) {
        let mut earliest = self.lock();
        if earliest.is_none_or(|earliest| at < earliest) {
            *earliest = Some(at);
            self.changed.notify_one();
        }
    }

    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        *self.lock()
    }

    /// All runs that are due were woken. A later moment stays, because the store does not list the moments of runs that
    /// are busy.
    pub(crate) fn clear(&self, now: Timestamp) {
        let mut earliest = self.lock();
        *earliest = earliest.filter(|at| *at > now);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.earliest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
