//! A look at what a task shows, when a person votes.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::work::look::look;
use crate::work::request;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, EffectId, RunId};
use everfold_core::event::SeenPart;
use everfold_core::seen::LookSpec;
use everfold_language::expr::{EvalError, Loaded};

/// How often the place of one look may ask for further values.
const NEEDS_MAX: usize = 16;

/// Why it cannot be seen what a task shows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookError {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] QueryError),
    /// Its workspace cannot.
    #[error("what the task shows cannot be looked at: {}", .0.message)]
    Workspace(Failure),
}

impl Engine {
    /// What an open approval shows of its run's workspace, as it lies there now. `None`: it shows nothing of it, or is not
    /// open.
    ///
    /// # Errors
    /// [`LookError`]: the run, or something in the workspace, cannot be read.
    pub async fn look(&self, run: RunId, task: &AttemptId) -> Result<Option<Vec<SeenPart>>, LookError> {
        let failed = |message: String| LookError::Workspace(Failure::new(FailureKind::Validation, message));
        let shared = &self.inner.shared;
        let mut loaded = Loaded::default();
        for _ in 0..NEEDS_MAX {
            let (layout, id) = (self.layout().clone(), EffectId { run, attempt: task.clone() });
            let at_hand = loaded.clone();
            let wanted = self.with_state(run, move |state| {
                let is_open = state.is_asking(&id.attempt);
                let spec = state.seen(&id.attempt).filter(|_| is_open).map(|seen| LookSpec::of(&seen.parts));
                let spec = spec.filter(|spec| !spec.is_empty())?;
                Some((spec, request::seen_workdir(state, &layout, &id, &at_hand)))
            });
            let Some((spec, workdir)) = wanted.await? else { return Ok(None) };
            match workdir {
                Ok(None) => return Ok(None),
                Ok(Some(workdir)) => {
                    let found = look(shared.edge.inspector.clone(), run, workdir, spec).await;
                    return found.map(Some).map_err(LookError::Workspace);
                }
                Err(EvalError::Needs(wanted)) => {
                    let found = shared.values.load(run, wanted).await;
                    for (value, text) in found.map_err(|error| failed(error.to_string()))? {
                        loaded.insert(&value, text);
                    }
                }
                Err(error @ EvalError::Failed { .. }) => return Err(failed(error.to_string())),
            }
        }
        Err(failed("it asks for ever more values".to_owned()))
    }
}
