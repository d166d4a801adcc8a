//! A run stands still, alone or with others: nothing starts, what runs ends, decisions count.

use super::draft::Draft;
use super::preconditions::{check_text, refuse_ended};
use super::refusal::Refusal;
use crate::event::{HaltScope, RunHalted, RunPaused, RunReleased, RunResumed};

pub(super) fn pause(draft: &mut Draft<'_>, reason: Option<&String>) -> Result<(), Refusal> {
    check_text("the reason", reason.map(String::as_str))?;
    refuse_ended(draft.state)?;
    if draft.state.facts.order.pause.is_none() {
        draft.record(RunPaused { reason: reason.cloned() });
    }
    Ok(())
}

pub(super) fn resume(draft: &mut Draft<'_>, reason: Option<&String>) -> Result<(), Refusal> {
    check_text("the reason", reason.map(String::as_str))?;
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
    draft.record(RunResumed { reason: reason.cloned() });
    Ok(())
}

/// The run's pipeline, or the whole engine, is paused. A run whose end is certain goes on to it.
pub(super) fn halt(draft: &mut Draft<'_>, scope: &HaltScope, reason: Option<&String>) {
    if !draft.state.is_ending() && !draft.state.facts.order.halts.contains_key(scope) {
        draft.record(RunHalted { scope: scope.clone(), reason: reason.cloned() });
    }
}

pub(super) fn release(draft: &mut Draft<'_>, scope: &HaltScope) {
    if !draft.state.is_ended() && draft.state.facts.order.halts.contains_key(scope) {
        draft.record(RunReleased { scope: scope.clone() });
    }
}
