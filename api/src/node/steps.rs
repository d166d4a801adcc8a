//! The rights of a step's process at the engine that runs it.
//!
//! Law: the rights end with the attempt. The process is recognised by its descent, so there is no token that could leak
//! or outlive the attempt.

use std::path::Path;

use everfold_engine::actor::Actor;
use everfold_engine::budgets::stream;
use everfold_engine::clock;
use everfold_engine::data_folder::Layout;
use everfold_engine::decide::Refusal;
use everfold_engine::effect::Effect;
use everfold_engine::envelope::StreamId;
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::state::{RunState, effects};
use everfold_engine::tokens::Role;

use super::handle::Node;
use crate::access::Caller;
use crate::fault::{Code, Fault};

impl Node {
    /// The caller that a process is which descends from the attempt, or from the command of a gate, in `folder`.
    pub(crate) async fn caller_of(&self, folder: &Path) -> Caller {
        let run = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse().ok());
        let Some(run) = run else { return Caller::of_unknown() };
        let (layout, name) = (self.layout.clone(), folder.file_name().map(ToOwned::to_owned));
        let is_it = move |folder: &Path| folder.file_name() == name.as_deref();
        let found = self.engine.with_state(run, move |state| step_of(run, state, &layout, is_it)).await;
        match found {
            Ok(Some((step, role))) => Caller::of_step(run, &step, role),
            // The attempt is asked to end or has ended, or its run cannot be read.
            Ok(None) | Err(_) => Caller::of_step(run, "", None),
        }
    }
}

impl Node {
    /// Refuses that a step's process raises the budgets of its own run or of an ancestor, also where another run shares them.
    ///
    /// # Errors
    /// [`Code::NotAllowed`]; a run cannot be read.
    pub(crate) async fn refuse_own_budgets(&self, caller: &Actor, run: RunId) -> Result<(), Fault> {
        if !matches!(caller, Actor::Run(_)) {
            return Ok(());
        }
        if self.engine.runs_above(caller).await?.holds(run) {
            return Err(Refusal::FromBelow(run).into());
        }
        self.refuse_own_counters(caller, &self.counters_of(run).await?).await
    }

    /// Refuses that a step's process changes the limits of a counter that its own run, or an ancestor of it, counts towards.
    ///
    /// # Errors
    /// [`Code::NotAllowed`]; an ancestor cannot be read.
    pub(crate) async fn refuse_own_counters(
        &self,
        caller: &Actor,
        counters: &[StreamId],
    ) -> Result<(), Fault> {
        let above = self.engine.runs_above(caller).await?;
        let mut is_own = above.is_cut();
        for run in above.found() {
            is_own |= self.counters_of(*run).await?.iter().any(|counter| counters.contains(counter));
        }
        if is_own {
            let what = "a step of a run does not change the limits of a budget that holds it";
            return Err(Fault::new(Code::NotAllowed, what).hint("a person raises it"));
        }
        Ok(())
    }

    /// The counters that the budgets of a run are.
    ///
    /// # Errors
    /// The run cannot be read.
    async fn counters_of(&self, run: RunId) -> Result<Vec<StreamId>, Fault> {
        let counters = |state: &RunState| {
            state.budgets(clock::now()).filter_map(|budget| stream(budget.terms)).collect::<Vec<_>>()
        };
        Ok(self.engine.with_state(run, counters).await?)
    }
}

/// The step of an attempt or gate's command that is in progress, and the role of its process.
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
