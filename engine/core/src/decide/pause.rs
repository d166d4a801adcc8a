//! A run is paused, alone or with others: nothing starts, what runs ends, decisions count. An interrupt is a pause that
//! also stops what runs: its rounds stay open, and go on when the run is resumed.

use super::draft::Draft;
use super::preconditions::{check_text, refuse_ended};
use super::refusal::Refusal;
use super::stops::stop_all;
use crate::event::{BreakpointsSet, OriginKind, RunHalted, RunPaused, RunReleased, RunResumed, StopReason};
use crate::state::{Key, PausedBy, RunState};
use everfold_base::id::AttemptId;
use everfold_base::json::{JsonText, Payload};
use everfold_language::definition::ExecutorTask;

pub(super) fn pause(draft: &mut Draft<'_>, paused: &RunPaused) -> Result<(), Refusal> {
    check_text("the reason", paused.reason.as_deref())?;
    refuse_ended(draft.state)?;
    // A run that was asked to end goes on to its end.
    if draft.state.is_cancelling() {
        return Ok(());
    }
    let ids = if paused.interrupt { interruptible(draft.state) } else { Vec::new() };
    // A breakpoint's pause ends with a signal, an actor's does not.
    let pause = &draft.state.facts.order.pause;
    let is_actors = pause.as_ref().is_some_and(|pause| matches!(pause.by, PausedBy::Actor(_)));
    if !is_actors || !ids.is_empty() {
        draft.record(paused.clone());
    }
    stop_all(draft, &ids, StopReason::Interrupt);
    Ok(())
}

/// The attempts that an interrupt stops: all but runs, which have a pause of their own, requests, which end soon and
/// whose effect would not be known, and looks at what an approval shows.
fn interruptible(state: &RunState) -> Vec<AttemptId> {
    let ends_by_itself = |key: Key| match state.unit_at(key) {
        Some(unit) => {
            matches!(unit.kind.as_str(), ExecutorTask::RUN | ExecutorTask::HTTP | ExecutorTask::LOOK)
        }
        None => true,
    };
    let attempts = state.facts.attempts.iter().copied();
    attempts.filter(|key| !ends_by_itself(*key)).map(|key| state.attempt_id(key)).collect()
}

pub(super) fn resume(draft: &mut Draft<'_>, resumed: &RunResumed) -> Result<(), Refusal> {
    check_text("the reason", resumed.reason.as_deref())?;
    let prompt = resumed.prompt.as_ref().and_then(Payload::text).cloned();
    check_text("the prompt", prompt.as_ref().map(JsonText::as_str))?;
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
    if prompt.is_some() && !draft.state.has_interrupted() {
        return Err(Refusal::NothingInterrupted);
    }
    let prompt = prompt.map(|prompt| draft.payload(prompt));
    go_on(draft, RunResumed { prompt, ..resumed.clone() });
    Ok(())
}

/// The run goes on. One that was handed over is not paused again at the breakpoint that it has passed.
pub(super) fn go_on(draft: &mut Draft<'_>, resumed: RunResumed) {
    let state = &*draft.state;
    let order = &state.facts.order;
    let is_handed_over = state.origin().is_some_and(|origin| origin.how == OriginKind::Handover);
    let is_passed = is_handed_over && !order.breakpoints.is_disjoint(&order.hit);
    let steps: Vec<_> = order.breakpoints.difference(&order.hit).map(|at| state.step_id(*at)).collect();
    draft.record(resumed);
    if is_passed {
        draft.record(BreakpointsSet { steps });
    }
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
