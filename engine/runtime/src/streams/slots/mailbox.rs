//! The mailbox of the slot allocator, and what it is asked.

use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_core::event::{Parent, WantedSlot};
use everfold_core::slots::ReleaseReason;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;
use tokio::sync::oneshot;

/// Requests that wait for the slot allocator. A run that begins asks at most twice, then wants once and ends once, so there
/// is never more than a few times the number of runs in progress.
#[derive(Default)]
pub(crate) struct SlotMailbox {
    pub(crate) asks: Mutex<VecDeque<SlotRequest>>,
    pub(crate) bell: Notify,
    /// The mailbox is closed.
    pub(crate) closed: AtomicBool,
}

/// A request to the slot allocator.
pub(crate) enum SlotRequest {
    /// A start that has recorded nothing yet wants to know whether these are to be had; those that are
    /// free are reserved for it.
    Check {
        run: RunId,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
        answer: oneshot::Sender<Result<SlotCheck, String>>,
    },
    /// What was reserved for a start is not needed any more.
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
    /// Runs that could not be served are to be served.
    CatchUp,
}

impl SlotRequest {
    /// The same once more, where the sender would not ask again: a start gets an error and may.
    pub(crate) fn again(&self) -> Option<Self> {
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
pub(crate) enum SlotCheck {
    /// It may begin, at once or after waiting.
    Open,
    /// This run has its key, and is the answer.
    Held(RunId),
    /// This run has its key.
    Taken(WantedSlot, RunId),
    /// No slot of this one is free.
    Full(WantedSlot),
}

impl SlotMailbox {
    pub(crate) fn put(&self, ask: SlotRequest) {
        let mut asks = self.lock();
        // Who waits for an answer sees that there will be none.
        if !self.closed.load(Ordering::Acquire) {
            asks.push_back(ask);
            self.bell.notify_one();
        }
    }

    /// Compares keys with their runs; gives the runs that still wait for one of them. None where that
    /// cannot be known now.
    pub(crate) async fn look(&self, keys: Vec<StreamId>) -> HashSet<RunId> {
        if keys.is_empty() {
            return HashSet::new();
        }
        let (answer, waiting) = oneshot::channel();
        self.put(SlotRequest::Look(keys, Some(answer)));
        waiting.await.unwrap_or_default()
    }

    /// Takes the keys of a run that was given up; lost with the slot allocator, the next one compares them with its head.
    pub(crate) async fn abandoned(&self, run: RunId, streams: Vec<StreamId>) {
        let (done, taken) = oneshot::channel();
        self.put(SlotRequest::Abandoned { run, streams, done });
        let _gone = taken.await;
    }

    /// Closes the mailbox; pending requests get an error.
    pub(crate) fn close(&self) {
        let mut asks = self.lock();
        self.closed.store(true, Ordering::Release);
        asks.clear();
    }

    pub(crate) async fn next(&self) -> SlotRequest {
        loop {
            let next = self.lock().pop_front();
            match next {
                Some(ask) => return ask,
                None => self.bell.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SlotRequest>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
