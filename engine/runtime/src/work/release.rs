//! What a run gives back when it has ended: its slots, its workspace.
//!
//! Law: a workspace is given back once nothing works in it and none is on its way: one that was still being
//! made when its run ended is undone when it is there. What a crash cuts short here the sweep finds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;

use crate::messages::Queued;
use crate::run::loaded_run::{AttemptWork, LoadedRun, SlotProgress, WorkspaceStage};
use crate::runtime::Runtime;
use crate::shard::core::ShardCore;
use crate::shard::job_done::JobDone;
use crate::streams::slots::allocator::reason_of;
use crate::streams::slots::mailbox::SlotRequest;
use crate::work::request;
use everfold_base::id::{InputId, RunId};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::{Keep, WorkspaceSpec};
use everfold_ports::Released;

impl ShardCore {
    /// Gives what a run that has ended held back: its slots, its workspace.
    pub(crate) fn release(&mut self, loaded: &mut LoadedRun) {
        let Some(state) = loaded.state.as_ref().filter(|state| state.is_ended()) else { return };
        if std::mem::replace(&mut loaded.slots, SlotProgress::Returned) != SlotProgress::Returned
            && !state.slots().is_empty()
            && let Some(reason) = reason_of(state.status())
        {
            let (run, slots) = (loaded.run, state.slots().to_vec());
            self.shared.mailboxes.slots.put(SlotRequest::Ended { run, slots, reason });
        }
        if loaded.workspace.stage != WorkspaceStage::AtRest || loaded.work.values().any(AttemptWork::may_live)
        {
            return;
        }
        loaded.workspace.stage = WorkspaceStage::Released;
        if !matches!(state.definition().workspace, Some(WorkspaceSpec::Git(_))) {
            return self.discard_copies(loaded);
        }
        let Some(workspaces) = &self.shared.edge.workspaces else { return };
        let is_success = state.status() == RunStatus::Succeeded;
        // Nothing was done in one that the run never had.
        let undone = loaded.workspace.unwanted.take().map(|workspace| (workspace, (Keep::Never, false)));
        let had = state.workspace().cloned().map(|workspace| (workspace, request::keeps(state)));
        let Some((workspace, (keep, keep_branch))) = had.or(undone) else { return };
        let (run, workspaces, path) = (loaded.run, Arc::clone(workspaces), workspace.path.clone());
        let released = async move { workspaces.release(run, workspace, keep, keep_branch, is_success).await };
        loaded.workspace.stage = WorkspaceStage::Releasing;
        self.jobs.push(Box::pin(async move {
            let removed = match AssertUnwindSafe(released).catch_unwind().await {
                Ok(Released::Removed) => Some(path),
                Ok(Released::Kept | Released::Failed) => None,
                Err(_panic) => {
                    tracing::error!(%run, "giving the workspace back panicked; the next start sweeps it");
                    None
                }
            };
            JobDone::Released { run, removed }
        }));
    }

    /// The workspace was given back; the run's history says so where it is gone.
    pub(crate) fn given_back(&mut self, loaded: &mut LoadedRun, removed: Option<String>) {
        loaded.workspace.stage = WorkspaceStage::Released;
        if let Some(path) = removed {
            loaded.push(removal(loaded.run, path));
        }
        self.mark(loaded);
    }
}

impl Runtime {
    /// Says in a run's history that its workspace is gone, where a former engine could not.
    pub(crate) async fn tell_removed(&self, run: RunId, path: String) {
        if let Err(error) = self.ask(run, removal(run, path)).await {
            tracing::warn!(%run, %error, "a workspace was removed, and the run's history does not say so");
        }
    }
}

fn removal(run: RunId, path: String) -> Queued {
    let about = InputId::derive(&format!("{run}/workspace removed/{path}"));
    Queued::own(about, InputKind::WorkspaceRemoved { path })
}
