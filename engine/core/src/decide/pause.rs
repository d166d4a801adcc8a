//! A run is paused, alone or with others: nothing starts, what runs ends, decisions count.

use super::draft::Draft;
use super::preconditions::{check_text, refuse_ended};
use super::refusal::Refusal;
use crate::event::{RunHalted, RunPaused, RunReleased, RunResumed};

pub(super) fn pause(draft: &mut Draft<'_>, paused: &RunPaused) -> Result<(), Refusal> {
    check_text("the reason", paused.reason.as_deref())?;
    refuse_ended(draft.state)?;
    if draft.state.facts.order.pause.is_none() {
        draft.record(paused.clone());
    }
    Ok(())
}

pub(super) fn resume(draft: &mut Draft<'_>, resumed: &RunResumed) -> Result<(), Refusal> {
    check_text("the reason", resumed.reason.as_deref())?;
    refuse_ended(draft.state)?;
    if draft.state.facts.order.pause.is_none() {
        return Err(match draft.state.halts().next() {
            Some(scope) => Refusal::Halted(scope.clone()),
            None => match draft.state.facts.spend.budgets.iter().find(|it| it.over.is_some()) {
                Some(budget) if !draft.state.facts.spend.held.is_empty() => {
                    Refusal::OverBudget(budget.terms.id.clone())
                }
                _within => Refusal::NotPaused,
            },
        });
    }
    draft.record(resumed.clone());
    Ok(())
}

/// The run's pipeline, or the whole engine, is paused. A run whose end is certain goes on to it.
pub(super) fn halt(draft: &mut Draft<'_>, halted: &RunHalted) {
    if !draft.state.is_ending() && !draft.state.facts.order.halts.contains_key(&halted.scope) {
        draft.record(halted.clone());
    }
}

pub(super) fn release(draft: &mut Draft<'_>, released: &RunReleased) {
    if !draft.state.is_ended() && draft.state.facts.order.halts.contains_key(&released.scope) {
        draft.record(released.clone());
    }
}
