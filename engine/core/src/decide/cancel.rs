//! A run is cancelled, or abandoned.

use super::draft::Draft;
use super::preconditions::check_text;
use super::refusal::Refusal;
use crate::event::{CancelRequested, RunAbandoned, RunCancelled, RunResumed};

pub(super) fn cancel(draft: &mut Draft<'_>, request: &CancelRequested) -> Result<(), Refusal> {
    check_text("the reason", request.reason.as_deref())?;
    if draft.state.is_ended() {
        return Err(Refusal::Ended(draft.state.status()));
    }
    let was_paused = draft.state.facts.order.pause.is_some();
    let is_first = draft.state.facts.cancels == 0;
    draft.record(request.clone());
    if was_paused {
        // What ends the run must not wait for a person to resume it.
        draft.record(RunResumed { reason: None, prompt: None });
    }
    if is_first {
        super::stops::stop_children(draft);
    }
    Ok(())
}

/// The run ends at once: `decide` stops none of its attempts and begins none of its `on_finish` steps.
pub(super) fn abandon(draft: &mut Draft<'_>, abandoned: &RunAbandoned) -> Result<(), Refusal> {
    check_text("the reason", abandoned.reason.as_deref())?;
    if draft.state.is_ended() {
        return Err(Refusal::Ended(draft.state.status()));
    }
    draft.record(abandoned.clone());
    draft.record(RunCancelled {});
    Ok(())
}
