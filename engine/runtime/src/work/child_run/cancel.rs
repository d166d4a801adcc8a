//! Stopping a child run with the attempt that started it.

use crate::error::SubmitError;
use crate::retry::{BUSY_AGAIN, Patience};
use crate::run_locks::RunLocks;
use crate::runtime::Runtime;
use crate::start::submission::Submission;
use crate::work::child_run::parent::{ParentFacts, look_until_seen};
use crate::work::child_run::spec::ChildSpec;
use everfold_base::actor::Actor;
use everfold_base::id::InputId;
use everfold_core::event::{CancelRequested, StopReason};
use everfold_core::input::InputKind;
use everfold_core::state::RunState;
use everfold_ports::AttemptRequest;

/// Cancels the child and waits for its end, unless it is to be left.
pub(crate) async fn cancel(locks: &RunLocks, shared: &Runtime, request: &AttemptRequest) {
    let id = request.id.run.child(&request.id.attempt);
    let look = ParentFacts::look(&request.id);
    let Some(about) = look_until_seen(shared, request.id.run, look).await else { return };
    let ends_with_run =
        matches!(about.stopping, Some(StopReason::Cancel | StopReason::RunEnded | StopReason::Parent) | None);
    if ends_with_run && ChildSpec::of(&request.spec).leaves {
        return;
    }
    let ended = shared.ends.of(id);
    let why = about.stopping.unwrap_or(StopReason::Cancel);
    let submission = Submission {
        run: id,
        kind: InputKind::Cancel(CancelRequested { reason: Some(reason(why).to_owned()) }),
        actor: Actor::Run(request.id.run.to_string()),
        id: Some(InputId::derive(&format!("{id}/parent/cancel"))),
        dedup: None,
    };
    let mut patience = Patience::new(id, "a child run cannot be cancelled");
    loop {
        // A start that is on its way comes first, so that there is something to cancel.
        let lock = locks.lock(id).await;
        let cancelled = shared.submit(submission.clone()).await;
        drop(lock);
        match cancelled {
            Ok(_) => break,
            Err(SubmitError::Busy) => tokio::time::sleep(BUSY_AGAIN).await,
            Err(error @ (SubmitError::Full | SubmitError::Store(_) | SubmitError::SetAside { .. })) => {
                patience.wait(&error).await;
            }
            // It never began, or it is over: nothing more can be done.
            Err(_over_or_never_begun) => return,
        }
    }
    if look_until_seen(shared, id, RunState::is_ended).await == Some(false) {
        let _seen_or_gone = ended.seen().await;
    }
}

fn reason(why: StopReason) -> &'static str {
    match why {
        StopReason::Rework => "the step that started it is reworked",
        StopReason::Cancel | StopReason::Parent => "the run that started it was cancelled",
        StopReason::RunEnded => "the run that started it has ended",
        StopReason::Deadline => "the deadline of the step that started it passed",
        StopReason::Timeout => "the time limit of the step that started it passed",
        StopReason::Person => "the step that started it was cancelled",
        StopReason::Budget => "a budget of the run that started it is used up",
        StopReason::Interrupt => "the run that started it was interrupted",
        StopReason::Signal => "a signal interrupted the step that started it",
    }
}
