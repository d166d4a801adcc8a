//! The end of a run: stop what is in progress, mark what did not end, run `on_finish`, close.

use super::draft::{Draft, Interrupt, settled};
use super::ready;
use super::scope::RunScope;
use crate::definition::{FinishStatus, Step, Task, Work};
use crate::event::{
    RunCancelled, RunFailed, RunSucceeded, SkipReason, StepCancelled, StepSkipped, StopReason, StopRequested,
};
use crate::failure::{Failure, FailureKind};
use crate::id::{AttemptId, StepPath};
use crate::state::{AttemptEnding, Ending, Key, Outcome, RunState, Stage};

/// Attempts that one event asks to stop.
const STOPS_MAX: usize = 500;

pub(super) fn end(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    match draft.state.ending() {
        Ending::Await => {}
        Ending::Stop => stop(draft),
        Ending::Sweep => sweep(draft),
        Ending::Begin(at) => return ready::begin(draft, at),
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
    let is_cancelled = matches!(state.facts.outcome, Some(Outcome::Cancelled));
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

/// Asks the child runs that nobody waited for to end with this run (L25), unless they are to be left.
pub(super) fn stop_children(draft: &mut Draft<'_>) {
    let state = &*draft.state;
    let mut ids = Vec::new();
    for at in 0..state.graph.len() {
        if !starts_child_that_ends_with_it(state.graph.step(at)) {
            continue;
        }
        let items = state.facts.steps[at].items.as_ref().map_or(0, |items| items.units.len());
        let items = (0..items).filter_map(|item| u32::try_from(item).ok());
        let keys = items.map(|item| Key { step: at, item: Some(item) }).chain([Key::step(at)]);
        let is_done = |key: &Key| {
            let stage = state.unit_at(*key).map(|unit| &unit.stage);
            matches!(stage, Some(Stage::Ended(AttemptEnding::Succeeded)))
        };
        ids.extend(keys.filter(is_done).map(|key| state.attempt_id(key)));
    }
    for ids in ids.chunks(STOPS_MAX) {
        draft.record(StopRequested { ids: ids.to_vec(), reason: StopReason::Parent });
    }
}

fn starts_child_that_ends_with_it(step: &Step) -> bool {
    let Some(Work::Task(task)) = &step.work else { return false };
    let spec = task.spec.source();
    task.kind == Task::RUN && spec["wait"] == false && spec["on_parent_cancel"] != "leave"
}

/// Marks main steps that have not ended: bypassed by a `finish` route, else cancelled.
fn sweep(draft: &mut Draft<'_>) {
    let is_finished = matches!(draft.state.facts.outcome, Some(Outcome::Finished { .. }));
    for at in 0..draft.state.graph.main_len() {
        if draft.state.facts.steps[at].phase.is_ended() {
            continue;
        }
        let (path, round) = (StepPath::step(&draft.state.step_id(at)), draft.state.facts.steps[at].round);
        if is_finished {
            draft.record(StepSkipped { path, round, reason: SkipReason::Bypassed });
        } else {
            draft.record(StepCancelled { path, round });
        }
        if draft.is_full() {
            return;
        }
    }
}

fn close(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    match outcome(draft.state) {
        (FinishStatus::Cancelled, _) => draft.record(RunCancelled {}),
        (FinishStatus::Failed, Some((failure, path))) => draft.record(RunFailed { path, failure }),
        (FinishStatus::Succeeded, _) | (FinishStatus::Failed, None) => {
            let definition = draft.state.definition().clone();
            let output = match &definition.output {
                None => Ok(serde_json::Value::Null),
                Some(output) => settled(output.render(&RunScope::run(draft.state, draft.loaded)))?,
            };
            match output {
                Ok(output) => {
                    let output = draft.payload_of(&output);
                    draft.record(RunSucceeded { output });
                }
                Err(failure) => draft.record(RunFailed { path: None, failure }),
            }
        }
    }
    Ok(())
}

/// How a run ends whose steps have ended: its status, and of a failed one why and at which step.
///
/// Until that is certain it is to succeed.
pub(super) fn outcome(state: &RunState) -> (FinishStatus, Option<(Failure, Option<StepPath>)>) {
    match state.facts.outcome.clone() {
        Some(Outcome::Cancelled) => (FinishStatus::Cancelled, None),
        Some(Outcome::Failed { path, failure }) => (FinishStatus::Failed, Some((failure, path))),
        Some(Outcome::Finished { status: FinishStatus::Failed, path }) => {
            let key = path.as_ref().and_then(|path| state.key(path));
            let known = key.and_then(|key| state.facts.steps[key.step].failure.clone());
            let failure = known.unwrap_or_else(|| {
                let message = match &path {
                    Some(path) => format!("“{path}” finished the run as failed"),
                    None => "a signal finished the run as failed".to_owned(),
                };
                Failure::new(FailureKind::Error, message)
            });
            (FinishStatus::Failed, Some((failure, path)))
        }
        Some(Outcome::Finished { status, .. }) => (status, None),
        None => (FinishStatus::Succeeded, None),
    }
}
