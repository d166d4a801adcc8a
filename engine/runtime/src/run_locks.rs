//! Locks by run: what must happen to one run at a time, from outside of its shard. A child is started or stopped under
//! one, and a history is copied under one.

use everfold_base::id::RunId;
use tokio::sync::{Mutex, MutexGuard};

/// The number of locks: about so many runs are worked on at once without waiting for each other.
const LOCKS: usize = 64;

/// One lock for many runs each: which one follows from the run's id.
pub(crate) struct RunLocks {
    locks: [Mutex<()>; LOCKS],
}

impl Default for RunLocks {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl RunLocks {
    /// Waits until no other task holds the run's lock.
    pub(crate) async fn lock(&self, run: RunId) -> MutexGuard<'_, ()> {
        let (_, low) = run.0.as_u64_pair();
        let at = usize::try_from(low % LOCKS as u64).unwrap_or_default();
        self.locks[at].lock().await
    }
}
