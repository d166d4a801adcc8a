//! The desk: gives out the keys and slots that runs hold.
//!
//! Law: one task owns all key streams and is their only writer, so what it decides on is true until it
//! has decided. Nothing of a run begins before the desk has told it, durably, that it holds everything
//! it wants; and a run's end is told to the desk before its slots go to anybody else. Where a crash came
//! in between, the key's stream is compared with the runs' when it is opened (D9).

mod clerk;
mod key;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

pub(super) use clerk::{Clerk, reason_of};

use super::engine::Engine;
use super::shared::Shared;
use super::{QueryError, SubmitError};
use crate::definition::{OnTaken, Release};
use crate::envelope::StreamId;
use crate::event::{Parent, SlotKind, WantedSlot};
use crate::id::RunId;
use crate::keys::{ReleaseReason, identity_stream, in_order};

/// What waits for the desk. A run that begins asks at most twice, then wants once and ends once, so there
/// is never more than a few times the number of runs in progress.
#[derive(Default)]
pub(super) struct Desk {
    asks: Mutex<VecDeque<Ask>>,
    bell: Notify,
    /// Nobody answers any more.
    closed: AtomicBool,
}

/// What the desk is asked or told.
pub(super) enum Ask {
    /// A start that has recorded nothing yet wants to know whether these are to be had; those that are
    /// free are set aside for it.
    Check {
        run: RunId,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
        answer: oneshot::Sender<Result<Found, String>>,
    },
    /// What was set aside for a start is not needed any more.
    PutBack(RunId),
    /// A run that is recorded waits for its slots, and for the end of the run whose place it takes; `still`: it is
    /// paused, and wants them once more when it goes on.
    Want {
        run: RunId,
        slots: Vec<WantedSlot>,
        priority: i32,
        after: Option<RunId>,
        parent: Option<Parent>,
        still: bool,
    },
    /// A run has ended.
    Ended { run: RunId, slots: Vec<WantedSlot>, reason: ReleaseReason },
    /// A run was given up whose history need not say which of these it holds or waits for.
    Abandoned { run: RunId, streams: Vec<StreamId>, done: oneshot::Sender<()> },
    /// Keys that a former engine left in use; the runs that wait for one of them and get nothing now.
    Look(Vec<StreamId>, Option<oneshot::Sender<HashSet<RunId>>>),
    /// Whoever could not be served is to be served.
    CatchUp,
}

impl Ask {
    /// The same once more, where nobody would ask again: who starts a run gets an error and may.
    fn again(&self) -> Option<Self> {
        match self {
            Self::Want { run, slots, priority, after, parent, still } => Some(Self::Want {
                run: *run,
                slots: slots.clone(),
                priority: *priority,
                after: *after,
                parent: parent.clone(),
                still: *still,
            }),
            Self::Ended { run, slots, reason } => {
                Some(Self::Ended { run: *run, slots: slots.clone(), reason: *reason })
            }
            Self::Look(streams, _) => Some(Self::Look(streams.clone(), None)),
            Self::Abandoned { run, streams, done: _ } => {
                let (done, _nobody_waits) = oneshot::channel();
                Some(Self::Abandoned { run: *run, streams: streams.clone(), done })
            }
            Self::Check { .. } | Self::PutBack(_) | Self::CatchUp => None,
        }
    }
}

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It may begin, at once or after waiting.
    Open,
    /// This run has its key, and is the answer.
    Held(RunId),
    /// This run has its key.
    Taken(WantedSlot, RunId),
    /// No slot of this one is free.
    Full(WantedSlot),
}

/// The run that has a key as its identity or, where several want it, the newest that does. It may have
/// ended: whether it has is for the caller to look at.
pub(super) async fn claimant(shared: &Shared, key: &str) -> Result<Option<RunId>, QueryError> {
    let kind = SlotKind::Identity { release: Release::default(), on_taken: OnTaken::default() };
    let (stream, _) = in_order(&[WantedSlot { key: key.to_owned(), kind }]).remove(0);
    let key = key::Key::load(shared, &stream).await;
    let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
    Ok(state.claimant())
}

impl Engine {
    /// The unended run that has a key as its identity. Costs as much as the key's history is long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: the key cannot be read.
    pub async fn holder(&self, key: &str) -> Result<Option<RunId>, QueryError> {
        let key = key::Key::load(&self.inner.shared, &identity_stream(key)).await;
        let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
        Ok(state.living().next())
    }

    /// The slots that a run waits for because others hold them or wait before it, with those others. Costs as much
    /// as the keys' histories are long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: a key cannot be read.
    pub async fn awaited_slots(
        &self,
        run: RunId,
        slots: &[WantedSlot],
    ) -> Result<Vec<(WantedSlot, Vec<RunId>)>, QueryError> {
        let mut awaited = Vec::new();
        for (stream, slot) in in_order(slots) {
            let key = key::Key::load(&self.inner.shared, &stream).await;
            let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
            // Those that came first go first, also where only they ask for a lower limit.
            let ahead: Vec<RunId> = state.queue().into_iter().take_while(|waiting| *waiting != run).collect();
            if !state.holds(run) && (!state.has_room(&slot) || !ahead.is_empty()) {
                let holders: Vec<RunId> = state.living().collect();
                awaited.push((slot, if holders.is_empty() { ahead } else { holders }));
            }
        }
        Ok(awaited)
    }
}

impl Desk {
    pub(super) fn put(&self, ask: Ask) {
        let mut asks = self.lock();
        // Who waits for an answer sees that there will be none.
        if !self.closed.load(Ordering::Acquire) {
            asks.push_back(ask);
            self.bell.notify_one();
        }
    }

    /// Compares keys with their runs; gives the runs that still wait for one of them. None where that
    /// cannot be told now.
    pub(super) async fn look(&self, keys: Vec<StreamId>) -> HashSet<RunId> {
        if keys.is_empty() {
            return HashSet::new();
        }
        let (answer, waiting) = oneshot::channel();
        self.put(Ask::Look(keys, Some(answer)));
        waiting.await.unwrap_or_default()
    }

    /// Takes the keys of a run that was given up; gone with the desk, the next one compares them with its head.
    pub(super) async fn abandoned(&self, run: RunId, streams: Vec<StreamId>) {
        let (done, taken) = oneshot::channel();
        self.put(Ask::Abandoned { run, streams, done });
        let _gone = taken.await;
    }

    /// Nobody sits at the desk any more.
    fn close(&self) {
        let mut asks = self.lock();
        self.closed.store(true, Ordering::Release);
        asks.clear();
    }

    async fn next(&self) -> Ask {
        loop {
            let next = self.lock().pop_front();
            match next {
                Some(ask) => return ask,
                None => self.bell.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Ask>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a start has set aside; given back when it is dropped. A run that has begun wants it by then.
pub(super) struct SetAside {
    shared: Arc<Shared>,
    run: RunId,
}

impl SetAside {
    pub(super) fn new(shared: Arc<Shared>, run: RunId) -> Self {
        Self { shared, run }
    }

    /// Asks for slots, and sets the free ones aside.
    ///
    /// # Errors
    /// [`SubmitError::Store`]: a key cannot be read; [`SubmitError::ShuttingDown`]: the desk is gone.
    pub(super) async fn check(
        &self,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
    ) -> Result<Found, SubmitError> {
        let (answer, found) = oneshot::channel();
        self.shared.desk.put(Ask::Check { run: self.run, slots, ancestors, answer });
        found.await.map_err(|_| SubmitError::ShuttingDown)?.map_err(SubmitError::Store)
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        self.shared.desk.put(Ask::PutBack(self.run));
    }
}
