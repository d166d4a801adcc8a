//! Who is behind a start that another run makes.
//!
//! Law: a person, by whatever way their request came; never a run, a schedule or the engine.

use crate::error::{QueryError, SubmitError};
use crate::runtime::Runtime;
use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_core::state::RunState;
use everfold_core::triggers::Outcome;

impl Runtime {
    /// Who is behind an actor that is a run, or a step of one. Each run of a line of parents holds who is behind all of
    /// it, so that one look is enough. `None`: the actor is no run, or nobody is known to be behind it.
    ///
    /// # Errors
    /// [`NoInitiator`]: without it an approval might be the starter's own.
    pub(crate) async fn initiator_of(&self, actor: &Actor) -> Result<Option<Actor>, NoInitiator> {
        let Actor::Run(name) = actor else { return Ok(None) };
        let Ok(run) = name.split('/').next().unwrap_or(name).parse::<RunId>() else { return Ok(None) };
        match self.with_state(run, behind).await {
            Ok(found) => Ok(found),
            Err(QueryError::NotFound(_)) => Ok(None),
            Err(QueryError::SetAside { run, reason }) => Err(NoInitiator::SetAside { run, reason }),
            Err(error) => Err(NoInitiator::NotNow(error.into())),
        }
    }
}

/// Why it is not known who is behind a start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoInitiator {
    /// The run that made the request is set aside, and stays so until a person acts.
    #[error("run {run} is set aside: {reason}")]
    SetAside { run: RunId, reason: String },
    /// The run cannot be looked at at this moment.
    #[error(transparent)]
    NotNow(SubmitError),
}

impl From<NoInitiator> for SubmitError {
    fn from(error: NoInitiator) -> Self {
        match error {
            NoInitiator::SetAside { run, reason } => Self::SetAside { run, reason },
            NoInitiator::NotNow(error) => error,
        }
    }
}

/// The outcome of a moment or a delivery of which the engine cannot read who asked for it; the next ones are handled.
pub(crate) fn no_initiator(why: &NoInitiator) -> Outcome {
    let message = format!("who is behind it cannot be looked up: {why}");
    Outcome::Refused { code: "no_initiator".to_owned(), message }
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
