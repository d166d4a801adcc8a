//! Requests to stop: how many one event holds, and those to child runs.

use super::draft::Draft;
use crate::event::{StopReason, StopRequested};
use crate::state::{AttemptEnding, Key, Stage};
use everfold_base::id::AttemptId;
use everfold_language::definition::{ExecutorTask, Step, Work};

/// Attempts that one event asks to stop.
pub(super) const STOPS_MAX: usize = 500;

/// Asks attempts to stop, in as many events as they need.
pub(super) fn stop_all(draft: &mut Draft<'_>, ids: &[AttemptId], reason: StopReason) {
    for ids in ids.chunks(STOPS_MAX) {
        draft.record(StopRequested { ids: ids.to_vec(), reason });
    }
}

/// Asks the child runs that no step waited for to end with this run (L25), unless the pipeline leaves them running.
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
    stop_all(draft, &ids, StopReason::Parent);
}

fn starts_child_that_ends_with_it(step: &Step) -> bool {
    let Some(Work::Task(task)) = &step.work else { return false };
    let spec = task.spec.source();
    task.kind == ExecutorTask::RUN && spec["wait"] == false && spec["on_parent_cancel"] != "leave"
}
