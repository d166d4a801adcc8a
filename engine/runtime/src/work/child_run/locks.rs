//! The locks under which a child run is started or stopped.

use everfold_base::id::RunId;
use tokio::sync::{Mutex, MutexGuard};

/// Children that start or stop at once without waiting for each other, about.
const LOCKS: usize = 64;

/// One lock for many children each: which one follows from the child's id.
pub(crate) struct ChildLocks {
    locks: [Mutex<()>; LOCKS],
}

impl Default for ChildLocks {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl ChildLocks {
    /// Waits until nothing else starts or stops the child.
    pub(crate) async fn lock(&self, child: RunId) -> MutexGuard<'_, ()> {
        let (_, low) = child.0.as_u64_pair();
        let at = usize::try_from(low % LOCKS as u64).unwrap_or_default();
        self.locks[at].lock().await
    }
}
