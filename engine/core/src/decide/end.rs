//! The end of a run: stop what is in progress, mark what did not end, run `on_finish`, close.

use super::draft::{Draft, Interrupt};
use super::otherwise;
use super::outcome::outcome;
use super::run_output;
use super::step_start;
use super::stops::STOPS_MAX;
use crate::event::{
    RunCancelled, RunFailed, RunSucceeded, SkipReason, StepCancelled, StepSkipped, StopReason, StopRequested,
};
use crate::state::{Ending, Key, RunOutcome};
use everfold_base::id::{AttemptId, StepPath};
use everfold_language::definition::FinishStatus;

pub(super) fn end(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    match draft.state.ending() {
        Ending::Await => {}
        Ending::Stop => stop(draft),
        Ending::Sweep => return sweep(draft),
        Ending::Begin(at) => return step_start::begin(draft, at),
        Ending::Pass(at) => {
            let (path, round) = (StepPath::step(&draft.state.step_id(at)), draft.state.facts.steps[at].round);
            draft.record(StepCancelled { path, round });
        }
        Ending::Close => return close(draft),
    }
    Ok(())
}

fn stop(draft: &mut Draft<'_>) {
    let state = &*draft.state;
    let is_cancelled = matches!(state.facts.outcome, Some(RunOutcome::Cancelled));
    let ids: Vec<AttemptId> = state
        .facts
        .attempts
        .iter()
        .filter(|key| !state.graph.is_finish(key.step) || state.facts.cancels > 1)
        .take(STOPS_MAX)
        .map(|key: &Key| state.attempt_id(*key))
        .collect();
    let reason = if is_cancelled { StopReason::Cancel } else { StopReason::RunEnded };
    draft.record(StopRequested { ids, reason });
}

/// Marks main steps that have not ended: bypassed by a `finish` route, else cancelled.
fn sweep(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    let is_finished = matches!(draft.state.facts.outcome, Some(RunOutcome::Finished { .. }));
    for at in 0..draft.state.graph.main_len() {
        if draft.state.facts.steps[at].phase.is_ended() {
            continue;
        }
        let (path, round) = (StepPath::step(&draft.state.step_id(at)), draft.state.facts.steps[at].round);
        if is_finished {
            // The run ends: an `else` that cannot be rendered takes nothing from any step.
            let output = otherwise::output(draft, &path, None)?.unwrap_or_default();
            draft.record(StepSkipped { path, round, reason: SkipReason::Bypassed, output });
        } else {
            draft.record(StepCancelled { path, round });
        }
        if draft.is_full() {
            return Ok(());
        }
    }
    Ok(())
}

fn close(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    match outcome(draft.state) {
        (FinishStatus::Cancelled, _) => draft.record(RunCancelled {}),
        (FinishStatus::Failed, Some((failure, path))) => {
            let result = run_output::of_failed(draft)?;
            draft.record(RunFailed { path, failure, result });
        }
        (FinishStatus::Succeeded, _) | (FinishStatus::Failed, None) => match run_output::of(draft)? {
            Ok(output) => draft.record(RunSucceeded { output }),
            Err(failure) => {
                let result = run_output::of_failed(draft)?;
                draft.record(RunFailed { path: None, failure, result });
            }
        },
    }
    Ok(())
}
