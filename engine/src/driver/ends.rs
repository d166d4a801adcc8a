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

/// An end that somebody waits for; given up on drop.
pub(super) struct End<'a> {
    ends: &'a Ends,
    run: RunId,
    told: oneshot::Receiver<()>,
}

impl End<'_> {
    /// Resolves when it is seen; false where the engine ends.
    pub(super) async fn seen(mut self) -> bool {
        (&mut self.told).await.is_ok()
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.told.close();
        let mut awaited = self.ends.lock();
        if let Some(waiting) = awaited.get_mut(&self.run) {
            waiting.retain(|waiting| !waiting.is_closed());
            if waiting.is_empty() {
                awaited.remove(&self.run);
            }
        }
    }
}

impl Ends {
    /// The run's end, where it is seen from now on. Whoever asks looks at the run afterwards: it may have
    /// ended before.
    pub(super) fn of(&self, run: RunId) -> End<'_> {
        let (sender, told) = oneshot::channel();
        self.lock().entry(run).or_default().push(sender);
        End { ends: self, run, told }
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let (ends, run) = (Ends::default(), RunId(Uuid::from_u128(1)));
        let (one, other) = (ends.of(run), ends.of(run));
        drop(one);
        assert_eq!(ends.lock().len(), 1);
        drop(other);
        assert_eq!(ends.lock().len(), 0);
    }
}
