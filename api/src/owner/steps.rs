//! As whom the process of a step may speak to the engine that runs it.
//!
//! Law: what it may do ends with its attempt. It is known by where it comes from, so there is no token that could
//! leak or outlive it.

use std::path::Path;

use everfold_engine::access::Role;
use everfold_engine::effect::{Effect, effects};
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::state::RunState;

use super::Owner;
use crate::http::Caller;

impl Owner {
    /// Who a process is that descends from the attempt in `folder`.
    pub(super) async fn caller_of(&self, folder: &Path) -> Caller {
        let run = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse().ok());
        let Some(run) = run else { return Caller::of_nobody() };
        let (layout, name) = (self.layout.clone(), folder.file_name().map(ToOwned::to_owned));
        let is_it = move |id: &EffectId| layout.attempt(id).file_name() == name.as_deref();
        let found = self.engine.with_state(run, move |state| attempt_in(run, state, is_it)).await;
        match found {
            Ok(Some((step, role))) => Caller::of_step(run, &step, role),
            // A gate's command, an attempt that is to end or that is over, a run that cannot be read.
            Ok(None) | Err(_) => Caller::of_step(run, "", None),
        }
    }
}

/// The step of an attempt in progress, and as what its process may speak.
fn attempt_in(
    run: RunId,
    state: &RunState,
    is_it: impl Fn(&EffectId) -> bool,
) -> Option<(String, Option<Role>)> {
    effects(state).into_iter().find_map(|effect| {
        let Effect::Attempt { id, .. } = effect else { return None };
        let id = EffectId { run, attempt: id };
        let path = &id.attempt.path;
        let (step, _) = state.step(&path.step)?;
        is_it(&id).then(|| (path.to_string(), step.api.map(|api| api.role.into())))
    })
}
