//! A round, or an item of one, is ended before its time.

use super::draft::Draft;
use super::preconditions::{check_text, refuse_ended};
use super::refusal::Refusal;
use super::stops::stop_all;
use crate::event::{StepCancelRequested, StopReason, TimerId};
use crate::state::{Cut, Key, Phase};
use everfold_base::id::AttemptId;

/// A person cancels a step, or an item of one: it fails as `cancelled` when what executes has ended.
pub(super) fn cancel(draft: &mut Draft<'_>, request: &StepCancelRequested) -> Result<(), Refusal> {
    check_text("the reason", request.reason.as_deref())?;
    refuse_ended(draft.state)?;
    let path = &request.path;
    let state = &*draft.state;
    let unknown = || Refusal::UnknownStep(path.clone());
    let key = state.key(path).ok_or_else(unknown)?;
    let unit = state.unit_at(key).ok_or_else(unknown)?;
    let step = &state.facts.steps[key.step];
    let is_over = key.item.is_some() && unit.stage.is_over();
    if !state.is_active(key.step) || is_over {
        return Err(Refusal::NotActive { path: path.clone(), status: state.status_at(key.step) });
    }
    let known = if key.item.is_some() { &unit.cut } else { &step.order.cut };
    if matches!(known, Some(Cut::Cancelled { .. })) && !matches!(step.phase, Phase::Blocked(_)) {
        return Ok(()); // The same again changes nothing.
    }
    draft.record(request.clone());
    match key.item {
        None => stop_step(draft, key.step, StopReason::Person),
        Some(_) => stop(draft, vec![key], StopReason::Person),
    }
    Ok(())
}

/// The deadline of a round passed: what executes of it is stopped.
pub(super) fn deadline(draft: &mut Draft<'_>, timer: &TimerId) {
    let Some(key) = draft.state.key(&timer.id.path) else { return };
    if draft.state.facts.steps[key.step].order.cut == Some(Cut::Deadline) {
        stop_step(draft, key.step, StopReason::Deadline);
    }
}

/// Stops everything that executes of a step.
pub(super) fn stop_step(draft: &mut Draft<'_>, at: usize, reason: StopReason) {
    let keys = draft.state.facts.attempts.range(Key::step(at)..Key::step(at + 1)).copied().collect();
    stop(draft, keys, reason);
}

fn stop(draft: &mut Draft<'_>, keys: Vec<Key>, reason: StopReason) {
    let executing = keys.into_iter().filter(|key| draft.state.facts.attempts.contains(key));
    let ids: Vec<AttemptId> = executing.map(|key| draft.state.attempt_id(key)).collect();
    stop_all(draft, &ids, reason);
}
