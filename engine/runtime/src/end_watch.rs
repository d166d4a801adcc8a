//! Callers that wait for the end of a run, or for its being set aside.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use everfold_base::id::RunId;

/// Who waits, by run.
type Awaited = Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>;

/// The ends that are awaited inside this process. Reported by the shards, once an end is durable.
#[derive(Default)]
pub(crate) struct EndWatch {
    ends: Awaited,
    set_aside: Awaited,
}

/// An awaited end; given up on drop.
pub(crate) struct AwaitedEnd<'a> {
    awaited: &'a Awaited,
    run: RunId,
    ended: oneshot::Receiver<()>,
}

impl AwaitedEnd<'_> {
    /// Resolves when it is seen; false where the engine ends.
    pub(crate) async fn seen(mut self) -> bool {
        (&mut self.ended).await.is_ok()
    }
}

impl Drop for AwaitedEnd<'_> {
    fn drop(&mut self) {
        self.ended.close();
        let mut awaited = lock(self.awaited);
        if let Some(waiting) = awaited.get_mut(&self.run) {
            waiting.retain(|waiting| !waiting.is_closed());
            if waiting.is_empty() {
                awaited.remove(&self.run);
            }
        }
    }
}

impl EndWatch {
    /// The run's end, where it is seen from now on. The caller looks at the run afterwards: it may have
    /// ended before.
    pub(crate) fn of(&self, run: RunId) -> AwaitedEnd<'_> {
        wait(&self.ends, run)
    }

    /// The run's being set aside, in the same way.
    pub(crate) fn of_set_aside(&self, run: RunId) -> AwaitedEnd<'_> {
        wait(&self.set_aside, run)
    }

    /// The run has ended.
    pub(crate) fn report(&self, run: RunId) {
        report(&self.ends, run);
    }

    /// The run was set aside.
    pub(crate) fn report_set_aside(&self, run: RunId) {
        report(&self.set_aside, run);
    }
}

fn wait(awaited: &Awaited, run: RunId) -> AwaitedEnd<'_> {
    let (sender, ended) = oneshot::channel();
    lock(awaited).entry(run).or_default().push(sender);
    AwaitedEnd { awaited, run, ended }
}

fn report(awaited: &Awaited, run: RunId) {
    for waiting in lock(awaited).remove(&run).into_iter().flatten() {
        let _gone = waiting.send(());
    }
}

fn lock(awaited: &Awaited) -> MutexGuard<'_, HashMap<RunId, Vec<oneshot::Sender<()>>>> {
    awaited.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let (ends, run) = (EndWatch::default(), RunId(Uuid::from_u128(1)));
        let (one, other) = (ends.of(run), ends.of(run));
        drop(one);
        assert_eq!(lock(&ends.ends).len(), 1);
        drop(other);
        assert_eq!(lock(&ends.ends).len(), 0);
    }
}
