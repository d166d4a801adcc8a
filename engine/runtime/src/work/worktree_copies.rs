//! Copies of a run's worktree for single attempts (`workspace: own`).
//!
//! Law: a copy exists from before its attempt begins until its gates are judged, and no longer. It is found by its
//! attempt's name, so that a crash neither loses nor leaks one.

use std::collections::{BTreeSet, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::run::attempt::phase::AttemptPhase;
use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use crate::shard::job_done::JobDone;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, EffectId, RunId};
use everfold_core::artefact::Workspace;
use everfold_core::decide::plan;
use everfold_core::decide::plan::WorkPlace;
use everfold_core::state::RunState;
use everfold_ports::{AttemptRequest, Workspaces};

impl ShardCore {
    /// The future that makes the copy in which an attempt works; `None` where it needs none.
    pub(crate) fn copying(
        &self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        request: &AttemptRequest,
    ) -> Result<Option<BoxFuture<'static, Result<(), Failure>>>, Failure> {
        if !request.workdir.git.as_ref().is_some_and(|git| git.is_copy) {
            return Ok(None);
        }
        let failed = |what: &str| Failure::new(FailureKind::Spawn, what);
        let Some(state) = &loaded.state else { return Ok(None) };
        let Some(workspaces) = &self.shared.edge.workspaces else {
            return Err(failed("no workspace can be made here"));
        };
        let place = plan::place_of(state, id, &loaded.values.of_plans);
        let (Ok(Some(WorkPlace::Copy(Some(commit)))), Some(workspace)) = (place, state.workspace()) else {
            return Err(failed("the run's worktree has no commit of which a copy could be made"));
        };
        let (workspaces, workspace, run) = (Arc::clone(workspaces), workspace.clone(), loaded.run);
        let path = request.workdir.path.clone();
        if let Some(copies) = &mut loaded.workspace.copies {
            copies.insert(id.clone());
        }
        let copied = AssertUnwindSafe(async move { workspaces.copy(run, workspace, commit, path).await });
        Ok(Some(
            copied
                .catch_unwind()
                .map(|copied| {
                    copied.unwrap_or_else(|_panic| {
                        Err(Failure::new(FailureKind::Spawn, "making a copy of the worktree panicked"))
                    })
                })
                .boxed(),
        ))
    }

    /// Removes copies that are not needed any more; the first time also those of a former engine.
    pub(crate) fn discard_copies(&mut self, loaded: &mut LoadedRun) {
        let (Some(state), Some(workspaces)) = (&loaded.state, self.shared.edge.workspaces.clone()) else {
            return;
        };
        if !state.has_copies() {
            return;
        }
        let wanted = wanted(loaded, state);
        let Some(workspace) = state.workspace().cloned() else { return };
        let path =
            |id: &AttemptId| self.shared.layout.copy(&EffectId { run: loaded.run, attempt: id.clone() });
        // Listed one by one: copies that are made from now on are not among them.
        let known = loaded.workspace.copies.take();
        let unwanted: HashSet<PathBuf> =
            known.iter().flat_map(|known| known.difference(&wanted)).map(path).collect();
        loaded.workspace.copies = Some(wanted);
        if known.is_none() {
            self.list_copies(loaded.run);
        }
        self.discard(loaded.run, workspaces, workspace, unwanted);
    }

    /// Lists the folders of a run's copies, beside the shard's loop.
    fn list_copies(&mut self, run: RunId) {
        let (folder, blocking) = (self.shared.layout.copies(run), self.shared.config.blocking);
        self.jobs.push(Box::pin(async move {
            let list = move || -> HashSet<PathBuf> {
                let there = std::fs::read_dir(folder).into_iter().flatten().flatten();
                there.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
            };
            // What cannot be listed is listed again at the next start.
            let folders = blocking.run(list).await.unwrap_or_default();
            JobDone::Copies { run, folders }
        }));
    }

    /// The folders of a run's copies are known: those that a former engine left are removed.
    pub(crate) fn copies_listed(&mut self, loaded: &mut LoadedRun, mut folders: HashSet<PathBuf>) {
        let (Some(state), Some(workspaces)) = (&loaded.state, self.shared.edge.workspaces.clone()) else {
            // The run is being loaded anew, and lists them again.
            loaded.workspace.copies = None;
            return;
        };
        let Some(workspace) = state.workspace().cloned() else { return };
        // Copies that were made meanwhile are known.
        for id in wanted(loaded, state).iter().chain(loaded.workspace.copies.iter().flatten()) {
            folders.remove(&self.shared.layout.copy(&EffectId { run: loaded.run, attempt: id.clone() }));
        }
        self.discard(loaded.run, workspaces, workspace, folders);
    }

    fn discard(
        &mut self,
        run: RunId,
        workspaces: Arc<dyn Workspaces>,
        workspace: Workspace,
        unwanted: HashSet<PathBuf>,
    ) {
        if unwanted.is_empty() {
            return;
        }
        let discarded = async move { workspaces.discard(run, workspace, unwanted).await };
        self.jobs.push(Box::pin(async move {
            if AssertUnwindSafe(discarded).catch_unwind().await.is_err() {
                tracing::error!(%run, "taking copies of the worktree away panicked; the next start sweeps them");
            }
            JobDone::NoResult
        }));
    }
}

/// The attempts whose copies are needed: current ones of rounds that have not ended, and all in progress.
fn wanted(loaded: &LoadedRun, state: &RunState) -> BTreeSet<AttemptId> {
    let mut wanted = state.copied_attempts();
    wanted.extend(loaded.attempts.in_phase(AttemptPhase::may_live).cloned());
    wanted
}
