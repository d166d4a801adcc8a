//! Releases the slots and the workspace of a run that has ended.
//!
//! Law: a workspace is released when nothing works in it and none is being made: one that was still being made when
//! its run ended is removed when it is there. After a crash the sweep removes what was left.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;

use crate::messages::Queued;
use crate::run::attempt::phase::AttemptPhase;
use crate::run::loaded_run::{LoadedRun, SlotProgress, WorkspaceStage};
use crate::runtime::Runtime;
use crate::shard::core::ShardCore;
use crate::shard::job_done::JobDone;
use crate::streams::slots::allocator::reason_of;
use crate::streams::slots::mailbox::SlotRequest;
use crate::work::request;
use everfold_base::id::{InputId, RunId};
use everfold_core::event::WorkspaceRemoved;
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::{Keep, WorkspaceSpec};
use everfold_ports::Released;

impl ShardCore {
    /// Releases the slots and the workspace of a run that has ended.
    pub(crate) fn release(&mut self, loaded: &mut LoadedRun) {
        let Some(state) = loaded.state.as_ref().filter(|state| state.is_ended()) else { return };
        if std::mem::replace(&mut loaded.slots, SlotProgress::Returned) != SlotProgress::Returned
            && !state.slots().is_empty()
            && let Some(reason) = reason_of(state.status())
        {
            let (run, slots) = (loaded.run, state.slots().to_vec());
            self.shared.mailboxes.slots.put(SlotRequest::Ended { run, slots, reason });
        }
        let may_be_used = loaded.attempts.in_phase(AttemptPhase::may_live).next().is_some();
        if loaded.workspace.stage != WorkspaceStage::AtRest || may_be_used {
            return;
        }
        loaded.workspace.stage = WorkspaceStage::Released;
        if !matches!(state.definition().workspace, Some(WorkspaceSpec::Git(_))) {
            return self.discard_copies(loaded);
        }
        let Some(workspaces) = &self.shared.edge.workspaces else { return };
        let is_success = state.status() == RunStatus::Succeeded;
        // A workspace that the run never used has no changes to keep.
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

    /// The workspace was released; where it was removed, that is recorded.
    pub(crate) fn given_back(&mut self, loaded: &mut LoadedRun, removed: Option<String>) {
        loaded.workspace.stage = WorkspaceStage::Released;
        if let Some(path) = removed {
            loaded.push(removal(loaded.run, path));
        }
        self.mark(loaded);
    }
}

impl Runtime {
    /// Records that a run's workspace was removed, where a former engine did not.
    pub(crate) async fn record_removal(&self, run: RunId, path: String) {
        if let Err(error) = self.ask(run, removal(run, path)).await {
            tracing::warn!(%run, %error, "a workspace was removed, and the run's history does not say so");
        }
    }
}

fn removal(run: RunId, path: String) -> Queued {
    let about = InputId::derive(&format!("{run}/workspace removed/{path}"));
    Queued::own(about, InputKind::WorkspaceRemoved(WorkspaceRemoved { path }))
}
