//! Messages from the slot allocator to runs: admissions and cancellations; and its waits for the ends of runs.
//!
//! Law: each message is sent until the run has taken it, or no longer needs it. A task of the allocator does so, and
//! the allocator goes on meanwhile.

use std::sync::Arc;

use crate::error::{QueryError, SubmitError};
use crate::messages::Queued;
use crate::retry::{BUSY_AGAIN, Patience};
use crate::runtime::Runtime;
use crate::streams::slots::allocator::SlotAllocator;
use crate::streams::slots::mailbox::SlotRequest;
use everfold_base::actor::Actor;
use everfold_base::id::{InputId, RunId};
use everfold_core::event::{CancelRequested, RunAdmitted};
use everfold_core::input::InputKind;
use everfold_core::state::RunState;

impl SlotAllocator {
    /// Loads a run that was granted a slot and is not in memory.
    pub(super) fn wake(&mut self, run: RunId) {
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move {
            let _ending = shared.drive(run, false).await;
        });
    }

    /// Has a run make room for another one.
    pub(super) fn cancel(&mut self, evicted: RunId, by: RunId) {
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move { cancel(&shared, evicted, by).await });
    }

    /// Puts a request into its own mailbox when a run has ended.
    pub(super) fn put_after(&mut self, origin: RunId, request: SlotRequest) {
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move {
            loop {
                let ended = shared.ends.of(origin);
                match shared.with_state(origin, RunState::is_ended).await {
                    Ok(false) => {
                        let _seen_or_gone = ended.seen().await;
                    }
                    Err(
                        QueryError::Store(_)
                        | QueryError::Full(_)
                        | QueryError::Panicked(_)
                        | QueryError::Busy(_),
                    ) => {
                        tokio::time::sleep(BUSY_AGAIN).await;
                        continue;
                    }
                    // The run is over, or its end cannot be known.
                    Ok(true) | Err(_) => {}
                }
                break;
            }
            shared.mailboxes.slots.put(request);
        });
    }
}

/// Informs a run that it holds everything. Its gates are judged once more, unless it held everything `at_once`.
pub(super) async fn admit(shared: &Runtime, run: RunId, at_once: bool) {
    let mut patience = Patience::new(run, "a run that has its slots cannot be admitted");
    loop {
        let found = match at_once {
            true => shared.with_state(run, |state| state.is_queued().then(Vec::new)).await,
            false => shared.admission_from_queue(run).await,
        };
        let admission = match found {
            Ok(Some(admission)) => admission,
            Err(
                error @ (QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)
                | QueryError::Busy(_)),
            ) => {
                patience.wait(&error).await;
                continue;
            }
            // The run does not wait any more, or wants its slots again when it is loaded.
            Ok(None) | Err(_) => return,
        };
        let kind = InputKind::Admitted(RunAdmitted { admission, at_once });
        let id = InputId::derive(&format!("{run}/admitted"));
        match shared.ask(run, Queued::own(id, kind)).await {
            Err(SubmitError::Busy) => tokio::time::sleep(BUSY_AGAIN).await,
            Err(SubmitError::Full) => {
                if shared.until_writable().await.is_none() {
                    return;
                }
            }
            // The run has it, or wants its slots again when it is loaded.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Cancels a run that has to make room, once.
async fn cancel(shared: &Runtime, evicted: RunId, by: RunId) {
    let mut patience = Patience::new(evicted, "a run that is to make room cannot be cancelled");
    loop {
        match shared.with_state(evicted, RunState::is_cancelling).await {
            Ok(false) => {}
            // Also a quarantined run makes room, once its block is resolved.
            Err(
                error @ (QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)
                | QueryError::Busy(_)
                | QueryError::SetAside { .. }),
            ) => {
                patience.wait(&error).await;
                continue;
            }
            Ok(true) | Err(QueryError::NotFound(_) | QueryError::ShuttingDown) => return,
        }
        let id = InputId::derive(&format!("{evicted}/replaced/{by}"));
        let kind = InputKind::Cancel(CancelRequested { reason: Some("replaced".to_owned()) });
        let queued = Queued { actor: Actor::Run(by.to_string()), ..Queued::own(id, kind) };
        match shared.ask(evicted, queued).await {
            Err(SubmitError::Busy) => tokio::time::sleep(BUSY_AGAIN).await,
            Err(error @ (SubmitError::Full | SubmitError::SetAside { .. })) => patience.wait(&error).await,
            Ok(_) | Err(_) => return,
        }
    }
}
