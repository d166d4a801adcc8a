//! As whom the process of a step may speak to the engine that runs it.
//!
//! Law: what it may do ends with its attempt. It is known by where it comes from, so there is no token that could
//! leak or outlive it.

use std::path::Path;

use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::effect::Effect;
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::state::{RunState, effects};
use everfold_engine::tokens::Role;

use super::handle::Node;
use crate::access::Caller;
use crate::fault::{Code, Fault};

impl Node {
    /// Who a process is that descends from the attempt, or from the command of a gate, in `folder`.
    pub(crate) async fn caller_of(&self, folder: &Path) -> Caller {
        let run = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse().ok());
        let Some(run) = run else { return Caller::of_nobody() };
        let (layout, name) = (self.layout.clone(), folder.file_name().map(ToOwned::to_owned));
        let is_it = move |folder: &Path| folder.file_name() == name.as_deref();
        let found = self.engine.with_state(run, move |state| step_of(run, state, &layout, is_it)).await;
        match found {
            Ok(Some((step, role))) => Caller::of_step(run, &step, role),
            // What is to end, or is over; a run that cannot be read.
            Ok(None) | Err(_) => Caller::of_step(run, "", None),
        }
    }
}

/// Runs above one that are looked at.
const ABOVE_MAX: usize = 64;

impl Node {
    /// Refuses the vote of a step's process on a run that its own run came of: begun by one of that run's steps, as
    /// its child or by a process, or by a run that such a one began.
    ///
    /// # Errors
    /// [`Code::NotAllowed`]; a run above that cannot be looked at.
    pub(crate) async fn refuse_below(&self, caller: &Actor, run: RunId) -> Result<(), Fault> {
        let mut below = run_of(caller);
        for _ in 0..ABOVE_MAX {
            let Some(here) = below else { return Ok(()) };
            if here == run {
                let what =
                    format!("a step of a run does not decide on the run that it came of, {}", run.short());
                return Err(Fault::new(Code::NotAllowed, what).hint("a person decides, or a run of its own"));
            }
            let above = |state: &RunState| {
                let parent = state.parent().map(|parent| parent.run);
                parent.or_else(|| run_of(state.started()?.0))
            };
            below = self.engine.with_state(here, above).await?;
        }
        Err(Fault::new(Code::NotAllowed, "a step of a run that so many runs stand above does not decide"))
    }
}

/// The run that a step's process, or a run's step, acts for.
fn run_of(actor: &Actor) -> Option<RunId> {
    match actor {
        Actor::Run(name) => name.split('/').next()?.parse().ok(),
        _other => None,
    }
}

/// The step of an attempt, or of a gate's command, that is in progress, and as what its process may speak.
fn step_of(
    run: RunId,
    state: &RunState,
    layout: &Layout,
    is_it: impl Fn(&Path) -> bool,
) -> Option<(String, Option<Role>)> {
    effects(state).into_iter().find_map(|effect| {
        let (id, gate) = match effect {
            Effect::Attempt { id, .. } => (id, None),
            Effect::Probe { id, gate, probe_no } => (id, Some((gate, probe_no))),
            _nothing_that_speaks => return None,
        };
        let id = EffectId { run, attempt: id };
        let folder = match gate {
            None => layout.attempt(&id),
            Some((gate, probe_no)) => layout.probe(&id, &gate, probe_no),
        };
        let path = &id.attempt.path;
        let (step, _) = state.step(&path.step)?;
        is_it(&folder).then(|| (path.to_string(), step.api.map(|api| api.role.into())))
    })
}
