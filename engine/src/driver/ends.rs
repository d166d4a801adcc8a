//! Who waits for the end of which run.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::id::RunId;

/// The ends that are awaited inside this process. Told by the shards, once an end is durable.
#[derive(Default)]
pub(super) struct Ends {
    awaited: Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>,
}

impl Ends {
    /// Resolves when the run's end is seen from now on. Whoever asks looks at the run afterwards: it
    /// may have ended before.
    pub(super) fn of(&self, run: RunId) -> oneshot::Receiver<()> {
        let (sender, ended) = oneshot::channel();
        let mut awaited = self.lock();
        let waiting = awaited.entry(run).or_default();
        waiting.retain(|former| !former.is_closed());
        waiting.push(sender);
        ended
    }

    /// The run has ended.
    pub(super) fn tell(&self, run: RunId) {
        for waiting in self.lock().remove(&run).into_iter().flatten() {
            let _gone = waiting.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Vec<oneshot::Sender<()>>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
