//! Requests to the slot allocator.

use std::collections::HashSet;

use tokio::sync::oneshot;

use crate::streams::mailbox::Mailbox;
use crate::streams::slots::run_pauses::RunPauses;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_core::event::{Parent, WantedSlot};
use everfold_core::slots::ReleaseReason;

/// The slot allocator's mailbox. A run sends at most two checks, one want and one end, so there are never more
/// requests than a few times the number of runs in progress: the mailbox needs no bound.
pub(crate) type SlotMailbox = Mailbox<SlotRequest>;

/// A run that is about to start, and of which nothing is recorded.
#[derive(Debug, Clone)]
pub(crate) struct StartingRun {
    pub(crate) run: RunId,
    /// What it wants.
    pub(crate) slots: Vec<WantedSlot>,
    /// Its pipeline, which may be paused.
    pub(crate) pipeline: String,
    /// The runs that wait for it, the nearest first.
    pub(crate) ancestors: Vec<RunId>,
    /// The run whose place it takes: what that one holds is its own.
    pub(crate) origin: Option<RunId>,
}

/// A recorded run that waits for its slots.
#[derive(Debug, Clone)]
pub(crate) struct RunDemand {
    pub(crate) run: RunId,
    /// The run's version that wants them. A want that failed is sent again after a pause, and one of a later version may
    /// have come meanwhile: that one counts.
    pub(crate) version: Version,
    pub(crate) slots: Vec<WantedSlot>,
    pub(crate) priority: i32,
    pub(crate) parent: Option<Parent>,
    pub(crate) pauses: RunPauses,
    /// The gates of its admission were judged in its start; those of a run that follows another one are judged when it has
    /// its slots.
    pub(crate) is_judged: bool,
}

/// A request to the slot allocator.
pub(crate) enum SlotRequest {
    /// A start that has recorded nothing yet asks whether its slots are to be had; the free ones are reserved for it, and
    /// its key in any case: other starts with that key are decided on after this one.
    Check { start: StartingRun, answer: oneshot::Sender<Result<SlotCheck, String>> },
    /// A start needs its reservations no more.
    PutBack(RunId),
    /// A recorded run waits for its slots, and for the end of the run `after` whose place it takes; its key it claims at
    /// once. A paused run sends this once more when it goes on.
    Want { demand: RunDemand, after: Option<RunId> },
    /// A run has ended.
    Ended { run: RunId, slots: Vec<WantedSlot>, reason: ReleaseReason },
    /// A run was abandoned. Its history may not say which of these keys it holds or waits for.
    Abandoned { run: RunId, streams: Vec<StreamId>, done: oneshot::Sender<()> },
    /// A former engine left these keys in use: they are compared with their runs. The answer: the runs that still wait
    /// for one of them.
    Look(Vec<StreamId>, Option<oneshot::Sender<HashSet<RunId>>>),
    /// Grants that failed are tried again, and keys in doubt are read.
    CatchUp,
}

impl SlotRequest {
    /// The same request for a later try, where its sender does not send it again. A start does: it gets an error.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Want { demand, after } => Some(Self::Want { demand: demand.clone(), after: *after }),
            Self::Ended { run, slots, reason } => {
                Some(Self::Ended { run: *run, slots: slots.clone(), reason: *reason })
            }
            Self::Look(streams, _) => Some(Self::Look(streams.clone(), None)),
            Self::Abandoned { run, streams, done: _ } => {
                let (done, _without_receiver) = oneshot::channel();
                Some(Self::Abandoned { run: *run, streams: streams.clone(), done })
            }
            Self::Check { .. } | Self::PutBack(_) | Self::CatchUp => None,
        }
    }
}

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SlotCheck {
    /// The start may begin, at once or after waiting.
    Open,
    /// This run has the key, and is the answer.
    Held(RunId),
    /// This run has the key.
    Taken(WantedSlot, RunId),
    /// No slot of this one is free.
    Full(WantedSlot),
}

impl SlotMailbox {
    /// Compares keys with their runs; gives the runs that still wait for one of them. None where the allocator cannot
    /// say so now.
    pub(crate) async fn look(&self, keys: Vec<StreamId>) -> HashSet<RunId> {
        if keys.is_empty() {
            return HashSet::new();
        }
        self.ask(|answer| SlotRequest::Look(keys, Some(answer))).await.unwrap_or_default()
    }

    /// Takes the keys of an abandoned run. Where the allocator ends first, the next one compares them with the run's
    /// head.
    pub(crate) async fn abandoned(&self, run: RunId, streams: Vec<StreamId>) {
        let _closed = self.ask(|done| SlotRequest::Abandoned { run, streams, done }).await;
    }
}
