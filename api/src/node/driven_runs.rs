//! The runs that a node drives, and those of them that no command waits for.
//!
//! Law: a node that drives every run knows the runs that are not ended by the store; what it notes here of ended ones
//! is forgotten, so the room of both sets is bounded by the runs that go on. A node that drives single runs keeps what
//! it noted until it ends: its command asks for the notices of runs that have ended, too.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everfold_engine::envelope::StreamId;
use everfold_engine::id::RunId;
use everfold_engine::store::EventStore;

/// So many are noted before ended ones are looked for.
const NOTED_MIN: usize = 1_024;

/// The runs that a node drives. Cheap to clone.
#[derive(Clone)]
pub(super) struct DrivenRuns(Arc<Noted>);

struct Noted {
    /// Runs that this node drives.
    driven: Mutex<BTreeSet<RunId>>,
    /// Runs that no command waits for: a background process drives them when this node ends.
    detached: Mutex<BTreeSet<RunId>>,
    /// Ended runs are looked for when so many are noted.
    look_at: AtomicUsize,
}

impl Default for DrivenRuns {
    fn default() -> Self {
        let (driven, detached) = Default::default();
        Self(Arc::new(Noted { driven, detached, look_at: AtomicUsize::new(NOTED_MIN) }))
    }
}

impl DrivenRuns {
    pub(super) fn driven(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.0.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn detached(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.0.detached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a run.
    pub(super) fn note(&self, run: RunId, detach: bool) {
        if detach {
            self.detached().insert(run);
        }
        self.driven().insert(run);
    }

    /// Whether it is time for [`Self::forget_ended`]: the caller does it.
    pub(super) fn is_due(&self) -> bool {
        // One look at a time: the next number is known when it is over.
        let is_due = self.driven().len() >= self.0.look_at.load(Ordering::Relaxed);
        if is_due {
            self.0.look_at.store(usize::MAX, Ordering::Relaxed);
        }
        is_due
    }

    /// Forgets the runs that have ended. One that the store cannot tell of stays.
    pub(super) async fn forget_ended(self, store: Arc<dyn EventStore>) {
        let noted: Vec<RunId> = self.driven().iter().copied().collect();
        for run in noted {
            let head = store.head(&StreamId::run(run)).await;
            if matches!(head, Ok(Some(head)) if !head.note.open && !head.note.busy) {
                self.driven().remove(&run);
                self.detached().remove(&run);
            }
        }
        let next = (self.driven().len() * 2).max(NOTED_MIN);
        self.0.look_at.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use everfold_engine::actor::Actor;
    use everfold_engine::envelope::{Cause, EventHeader, NewEvent};
    use everfold_engine::id::{InputId, Version};
    use everfold_engine::json::Hash;
    use everfold_engine::store::{Append, MemoryStore, StreamNote};
    use everfold_engine::time::Timestamp;

    use super::*;

    fn run(number: usize) -> RunId {
        format!("0198c1f0-0000-7000-8000-{number:012x}").parse().unwrap()
    }

    async fn append(store: &MemoryStore, run: RunId, open: bool) {
        let stream = StreamId::run(run);
        let header = EventHeader {
            stream: stream.clone(),
            version: Version::FIRST,
            recorded_at: Timestamp(1),
            actor: Actor::Engine,
            cause: Cause { input: InputId::default(), because: Version::ZERO },
            kind: 1,
            schema: 1,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let append = Append {
            stream,
            expected: Version::ZERO,
            previous: Hash::ZERO,
            events: vec![NewEvent::link(header, b"x".to_vec(), &Hash::ZERO)],
            dedup: None,
            fence: None,
            note: StreamNote { open, ..StreamNote::default() },
        };
        store.append(append).await.unwrap();
    }

    #[tokio::test]
    async fn runs_that_have_ended_are_forgotten_and_one_that_is_not_known_stays() {
        let (store, runs) = (MemoryStore::default(), DrivenRuns::default());
        for number in 0..NOTED_MIN {
            append(&store, run(number), number < 3).await;
            assert!(!runs.is_due(), "{number}");
            runs.note(run(number), number % 2 == 0);
        }
        runs.note(run(NOTED_MIN), false);
        assert!(runs.is_due());
        assert!(!runs.is_due(), "one look at a time");
        runs.clone().forget_ended(Arc::new(store)).await;
        let driven: Vec<RunId> = runs.driven().iter().copied().collect();
        assert_eq!(driven, [run(0), run(1), run(2), run(NOTED_MIN)]);
        assert_eq!(runs.detached().iter().copied().collect::<Vec<_>>(), [run(0), run(2)]);
        assert!(!runs.is_due());
        (0..NOTED_MIN).for_each(|number| runs.note(run(number), false));
        assert!(runs.is_due(), "looked for again");
    }
}
