//! The next attempt of a unit.

use super::super::draft::{Draft, Interrupt};
use super::super::step_start;
use crate::event::{RetryScheduled, WorktreeReset};
use crate::state::{Key, RunState};
use everfold_base::id::AttemptId;
use everfold_language::definition::{StepWorkspace, Work};
use std::time::Duration;

pub(super) fn retry(draft: &mut Draft<'_>, key: Key, pause: Duration) -> Result<(), Interrupt> {
    if !matches!(draft.state.graph.step(key.step).work, Some(Work::Task(_))) {
        return step_start::again(draft, key, pause);
    }
    let id = draft.state.attempt_id(key);
    let at = draft.now().plus(pause);
    let id = AttemptId { attempt: id.attempt.next(), ..id };
    draft.record(RetryScheduled { id: id.clone(), at, task: None });
    if let Some(commit) = clean_commit(draft.state, key.step) {
        draft.record(WorktreeReset { id, commit });
    }
    Ok(())
}

/// The attempt after one that was interrupted: it goes on with what that one left, also where the step is `clean`.
pub(super) fn go_on(draft: &mut Draft<'_>, key: Key) {
    let id = draft.state.attempt_id(key);
    let id = AttemptId { attempt: id.attempt.next(), ..id };
    draft.record(RetryScheduled { id, at: draft.now(), task: None });
}

/// The commit to which the worktree is brought back before a retry, where the step says so: the round's
/// first. A worktree that did not exist then began at the run's.
fn clean_commit(state: &RunState, at: usize) -> Option<String> {
    let step = state.graph.step(at);
    let workspace = state.workspace().filter(|workspace| workspace.repository.is_some())?;
    if !step.clean || step.workspace != StepWorkspace::Run {
        return None;
    }
    state.facts.steps[at].base.clone().or_else(|| workspace.commit.clone())
}
