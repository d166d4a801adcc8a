//! What a run gives back when it has ended: its slots, its workspace.
//!
//! Law: a workspace is given back once nothing works in it and none is on its way: one that was still being
//! made when its run ended is undone when it is there. What a crash cuts short here the sweep finds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;

use super::World;
use super::cell::{Cell, Work};
use super::outcome::Done;
use crate::definition::{Keep, WorkspaceSpec};
use crate::driver::desk::{Ask, reason_of};
use crate::driver::message::Queued;
use crate::driver::request;
use crate::driver::shared::Shared;
use crate::execution::Released;
use crate::id::{InputId, RunId};
use crate::input::InputKind;
use crate::state::RunStatus;

impl World {
    /// Gives what a run that has ended held back: its slots, its workspace.
    pub(super) fn release(&mut self, cell: &mut Cell) {
        let Some(state) = cell.state.as_ref().filter(|state| state.is_ended()) else { return };
        if !std::mem::replace(&mut cell.returned, true)
            && !state.slots().is_empty()
            && let Some(reason) = reason_of(state.status())
        {
            let (run, slots) = (cell.run, state.slots().to_vec());
            self.shared.desk.put(Ask::Ended { run, slots, reason });
        }
        if cell.released || cell.preparing || cell.work.values().any(Work::may_live) {
            return;
        }
        cell.released = true;
        if !matches!(state.definition().workspace, Some(WorkspaceSpec::Git(_))) {
            return self.discard_copies(cell);
        }
        let Some(workspaces) = &self.shared.edge.workspaces else { return };
        let is_success = state.status() == RunStatus::Succeeded;
        // Nothing was done in one that the run never had.
        let undone = cell.unwanted.take().map(|workspace| (workspace, (Keep::Never, false)));
        let had = state.workspace().cloned().map(|workspace| (workspace, request::keeps(state)));
        let Some((workspace, (keep, keep_branch))) = had.or(undone) else { return };
        let (run, workspaces, path) = (cell.run, Arc::clone(workspaces), workspace.path.clone());
        let released = async move { workspaces.release(run, workspace, keep, keep_branch, is_success).await };
        cell.releasing = true;
        self.jobs.push(Box::pin(async move {
            let removed = match AssertUnwindSafe(released).catch_unwind().await {
                Ok(Released::Removed) => Some(path),
                Ok(Released::Kept | Released::Failed) => None,
                Err(_panic) => {
                    tracing::error!(%run, "giving the workspace back panicked; the next start sweeps it");
                    None
                }
            };
            Done::Released { run, removed }
        }));
    }

    /// The workspace was given back; the run's history says so where it is gone.
    pub(super) fn given_back(&mut self, cell: &mut Cell, removed: Option<String>) {
        cell.releasing = false;
        if let Some(path) = removed {
            cell.push(removal(cell.run, path));
        }
        self.mark(cell);
    }
}

impl Shared {
    /// Says in a run's history that its workspace is gone, where a former engine could not.
    pub(in crate::driver) async fn tell_removed(&self, run: RunId, path: String) {
        if let Err(error) = self.ask(run, removal(run, path)).await {
            tracing::warn!(%run, %error, "a workspace was removed, and the run's history does not say so");
        }
    }
}

fn removal(run: RunId, path: String) -> Queued {
    let about = InputId::derive(&format!("{run}/workspace removed/{path}"));
    Queued::own(about, InputKind::WorkspaceRemoved { path })
}
