//! The port for workspaces of runs.
//!
//! Law: every operation may be repeated; what is to be kept is never removed.

use crate::workdir::Workdir;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_core::artefact::Workspace;
use everfold_language::definition::Keep;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

/// A workspace to make, everything rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceRequest {
    /// A worktree of a git repository.
    Git {
        /// The repository; absolute.
        repository: PathBuf,
        /// The branch to start from; `None`: the repository's default.
        base: Option<String>,
        /// The commit to start from; `None`: the head of the base.
        from: Option<String>,
        /// The run's branch.
        branch: String,
        /// Whether the worktree stays when the run has ended.
        keep: Keep,
        /// Whether the branch stays then.
        keep_branch: bool,
    },
    /// A folder that is there; absolute.
    Dir(PathBuf),
}

/// Makes and removes workspaces.
pub trait Workspaces: Send + Sync + 'static {
    /// Makes the run's workspace, or finds the one it made before a crash.
    ///
    /// # Errors
    /// A failure of kind `spawn` or `conflict` with a hint: no repository, no such branch, … One with the
    /// code [`NO_ROOM_CODE`](everfold_base::failure::NO_ROOM_CODE) is no failure of the run: it is asked for again.
    fn prepare(
        &self,
        run: RunId,
        request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>>;

    /// Removes the run's workspace after its end unless `keep` says otherwise; `succeeded` is how it
    /// ended. Repeating it does no harm.
    fn release(
        &self,
        run: RunId,
        workspace: Workspace,
        keep: Keep,
        keep_branch: bool,
        succeeded: bool,
    ) -> BoxFuture<'static, Released>;

    /// Makes a detached copy of a run's worktree at a commit for one attempt, or finds the one it made
    /// before a crash.
    ///
    /// # Errors
    /// As [`Workspaces::prepare`].
    fn copy(
        &self,
        run: RunId,
        workspace: Workspace,
        commit: String,
        path: PathBuf,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        drop((run, workspace, commit, path));
        let failure = Failure::new(FailureKind::Spawn, "no copy of a workspace can be made here");
        Box::pin(std::future::ready(Err(failure)))
    }

    /// Brings a run's worktree forward to a commit that goes on from its head; one that its head goes on from already is
    /// there. What is not committed stays. Repeating it does no harm.
    ///
    /// # Errors
    /// A failure of kind `conflict`: the two have parted, or what is not committed is in the way.
    fn advance(&self, workdir: Workdir, commit: String) -> BoxFuture<'static, Result<(), Failure>> {
        drop((workdir, commit));
        let failure = Failure::new(FailureKind::Spawn, "no worktree can be brought forward here");
        Box::pin(std::future::ready(Err(failure)))
    }

    /// Removes copies that were made of a run's worktree. Repeating it does no harm.
    fn discard(&self, run: RunId, workspace: Workspace, copies: HashSet<PathBuf>) -> BoxFuture<'static, ()> {
        drop((run, workspace, copies));
        Box::pin(std::future::ready(()))
    }

    /// The runs of which something lies there that [`Workspaces::release`] was not asked for yet.
    fn left(&self) -> BoxFuture<'static, HashSet<RunId>>;

    /// Removes what these runs left behind, as far as it is not to be kept. A run that is not named is left
    /// alone: its fate is not known. Gives the paths of the workspaces that are gone.
    fn sweep(&self, fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>>;
}

/// What became of a run that left something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has ended.
    Ended {
        /// How.
        succeeded: bool,
        /// Whether it ever had its workspace: one that was made for it after it had ended holds no work.
        began: bool,
    },
    /// The store does not know it.
    Unknown,
}

/// What became of a run's workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It is gone.
    Removed,
    /// It stays on purpose, or was never the engine's to remove.
    Kept,
    /// It could not be removed; the next sweep tries again.
    Failed,
}
