//! What a start of a child needs to know of the parent: the run whose step starts it.

use std::sync::Arc;

use crate::error::QueryError;
use crate::limits::DEPTH_MAX;
use crate::retry::Patience;
use crate::runtime::Runtime;
use everfold_base::id::{EffectId, RunId};
use everfold_core::decide::plan;
use everfold_core::event::StopReason;
use everfold_core::state::RunState;
use everfold_language::definition::Definition;
use everfold_language::expr::Loaded;

/// What a child takes over from its parent, and whether it is to be stopped.
pub(crate) struct ParentFacts {
    pub(crate) definition: Arc<Definition>,
    pub(crate) cwd: Option<String>,
    pub(crate) priority: i32,
    pub(crate) stopping: Option<StopReason>,
    pub(crate) parent: Option<RunId>,
    /// The topmost run: of the parent, and so of the child.
    pub(crate) top: Option<RunId>,
}

impl ParentFacts {
    /// A look at the parent, for the attempt that is to be the child.
    pub(crate) fn look(id: &EffectId) -> impl Fn(&RunState) -> Self + Clone + Send + use<> {
        let attempt = id.attempt.clone();
        move |state: &RunState| Self {
            definition: Arc::clone(state.definition()),
            cwd: state.cwd().map(str::to_owned),
            // With the step's own, where that is known without reading a large value.
            priority: match plan::standing(state, &attempt, &Loaded::default()) {
                Ok(Some(standing)) => standing.priority,
                Ok(None) | Err(_) => state.priority(),
            },
            stopping: state.stopping(&attempt),
            parent: state.parent().map(|parent| parent.run),
            top: state.top(),
        }
    }
}

/// How many runs lie above one that has this parent, itself included; counted up to the limit. `None` where the
/// engine ends.
pub(crate) async fn depth(shared: &Runtime, mut parent: Option<RunId>) -> Option<u32> {
    let mut depth = 1;
    while let Some(run) = parent.filter(|_| depth < DEPTH_MAX) {
        depth += 1;
        parent = match shared.with_state(run, |state| state.parent().map(|parent| parent.run)).await {
            Ok(parent) => parent,
            Err(QueryError::ShuttingDown) => return None,
            // One that cannot be read ends the count: what is above it is not known.
            Err(_unreadable) => None,
        };
    }
    Some(depth)
}

/// What a look at a run finds, however often it has to look; `None` where the engine ends, or there is no such run.
pub(crate) async fn look_until_seen<R: Send + 'static>(
    shared: &Runtime,
    run: RunId,
    look: impl Fn(&RunState) -> R + Clone + Send + 'static,
) -> Option<R> {
    let mut patience = Patience::new(run, "a run that a step waits for, or its parent, cannot be looked at");
    loop {
        match shared.with_state(run, look.clone()).await {
            Ok(seen) => return Some(seen),
            Err(QueryError::NotFound(_) | QueryError::ShuttingDown) => return None,
            Err(
                error @ (QueryError::SetAside { .. }
                | QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)
                | QueryError::Busy(_)),
            ) => {
                patience.wait(&error).await;
            }
        }
    }
}
