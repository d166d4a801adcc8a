//! The runs that wait for a run: the one that started it, the one that started that, and so on.
//!
//! Law: a run never waits for something that one of these holds until it has ended. It shares their slots of
//! concurrency keys; what cannot be shared is refused, with a code and the holder's name.
//!
//! Called by the slot allocator and by starts.

use crate::error::QueryError;
use crate::limits::DEPTH_MAX;
use crate::runtime::Runtime;
use crate::scheduler::settings::OrderConfig;
use everfold_base::id::{AttemptId, RunId, StepId};
use everfold_core::decide::plan;
use everfold_core::event::Parent;
use everfold_core::state::RunState;
use everfold_language::definition::{Definition, ExecutorTask, Work};
use everfold_language::expr::Loaded;

/// The ancestors that wait for a run, the nearest first. A parent that does not wait (`wait: false`) ends the list,
/// and so does a fork: no run started that.
///
/// # Errors
/// [`QueryError`]: one of them cannot be read now.
pub(crate) async fn ancestors(
    shared: &Runtime,
    run: RunId,
    parent: Option<Parent>,
) -> Result<Vec<RunId>, QueryError> {
    Ok(waiting(shared, run, parent).await?.into_iter().map(|(run, _)| run).collect())
}

/// The same, with the resources that each of them holds meanwhile.
pub(crate) async fn waiting(
    shared: &Runtime,
    mut run: RunId,
    mut parent: Option<Parent>,
) -> Result<Vec<(RunId, Vec<String>)>, QueryError> {
    let mut found = Vec::new();
    while let Some(above) = parent.filter(|above| above.run.child(&above.id) == run) {
        if found.len() >= DEPTH_MAX as usize {
            break;
        }
        let id = above.id.clone();
        let look = move |state: &RunState| (held_by(state, &id), state.parent().cloned());
        match shared.with_state(above.run, look).await {
            Ok((Some(held), next)) => {
                found.push((above.run, held));
                (run, parent) = (above.run, next);
            }
            Ok((None, _)) | Err(QueryError::NotFound(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A step that would wait for what an ancestor of its run holds until that run has ended.
pub(crate) struct Starved {
    pub(crate) step: StepId,
    pub(crate) name: String,
    pub(crate) holder: RunId,
}

/// The first step of a child that needs a resource whose slots are all held by ancestors that wait for the child.
pub(crate) fn starved(
    config: &OrderConfig,
    child: &Definition,
    waiting: &[(RunId, Vec<String>)],
) -> Option<Starved> {
    let steps = child.steps.iter().chain(&child.on_finish);
    let mut wanted = steps.flat_map(|step| step.resources.iter().map(move |name| (step, name)));
    wanted.find_map(|(step, name)| {
        let mut holders = waiting.iter().filter(|(_, held)| held.contains(name)).map(|(run, _)| *run);
        let (size, holder) = (*config.resources.get(name)?, holders.clone().next()?);
        (holders.by_ref().count() >= size).then(|| Starved {
            step: step.id.clone(),
            name: name.clone(),
            holder,
        })
    })
}

/// What an attempt holds that waits for the child that it started; `None`: it does not wait.
fn held_by(state: &RunState, id: &AttemptId) -> Option<Vec<String>> {
    let (step, _) = state.step(&id.path.step)?;
    let Some(Work::Task(ExecutorTask { kind, spec })) = &step.work else { return None };
    if kind != ExecutorTask::RUN || spec.source()["wait"] == false {
        return None;
    }
    match plan::standing(state, id, &Loaded::default()) {
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => Some(step.resources.clone()),
    }
}
