//! Who is behind a start that another run makes.
//!
//! Law: a person, by whatever way their request came; never a run, a schedule or the engine.

use crate::error::{QueryError, SubmitError};
use crate::runtime::Runtime;
use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_core::state::RunState;

impl Runtime {
    /// Who is behind an actor that is a run, or a step of one. Each run of a line of parents holds who is behind all of
    /// it, so that one look is enough. `None`: the actor is no run, or nobody is known to be behind it.
    ///
    /// # Errors
    /// [`SubmitError`] where the run cannot be looked at now: without it an approval might be the starter's own.
    pub(crate) async fn initiator_of(&self, actor: &Actor) -> Result<Option<Actor>, SubmitError> {
        let Actor::Run(name) = actor else { return Ok(None) };
        let Ok(run) = name.split('/').next().unwrap_or(name).parse::<RunId>() else { return Ok(None) };
        match self.with_state(run, behind).await {
            Ok(found) => Ok(found),
            Err(QueryError::NotFound(_)) => Ok(None),
            Err(QueryError::ShuttingDown) => Err(SubmitError::ShuttingDown),
            Err(QueryError::Busy(_)) => Err(SubmitError::Busy),
            Err(other) => Err(SubmitError::Store(other.to_string())),
        }
    }
}

fn behind(state: &RunState) -> Option<Actor> {
    let starter = || state.started().map(|(by, _)| by).filter(|by| is_person(by));
    state.initiator().or_else(starter).cloned()
}

/// A hook names its sender.
fn is_person(actor: &Actor) -> bool {
    match actor {
        Actor::User(_) | Actor::Token(_) | Actor::Hook(_) => true,
        Actor::Engine | Actor::Schedule(_) | Actor::Run(_) | Actor::Worker(_) => false,
    }
}
