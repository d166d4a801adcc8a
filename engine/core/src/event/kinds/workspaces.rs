//! Events of the run's workspace.

use super::super::declare::event_payloads;
use crate::artefact::Workspace;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId};
use everfold_language::definition::Save;

event_payloads! {
    /// The workspace is there, or cannot be had. Fact of `workspace prepared`.
    ///
    /// Then: the steps that waited for the workspace begin; without one the run fails.
    WorkspacePrepared {
        /// Where it is.
        workspace: Option<Workspace>,
        /// Why it is not.
        failure: Option<Failure>,
    }
    /// The run works where the run works that started it. Fact of `workspace shared`.
    ///
    /// Then: the steps that waited for the workspace begin.
    WorkspaceShared {
        /// Where that is, and its head at this moment.
        workspace: Workspace,
        /// Whose it is.
        owner: RunId,
        /// Whether leftovers are committed there after each attempt.
        save: Save,
        /// The author of such commits; `None`: the settings'.
        author: Option<String>,
    }
    /// The attempt begins on the worktree as it was when its round began.
    ///
    /// Then: the attempt begins.
    WorktreeReset {
        /// The attempt.
        id: AttemptId,
        /// The worktree's commit then.
        commit: String,
    }
    /// The run has ended, and its workspace is gone. Fact of `workspace removed`.
    ///
    /// Then: nothing.
    WorkspaceRemoved {
        /// Where it was.
        path: String,
    }
}
