//! Where work is done.

use serde_json::{Value, json};

use super::construct::{Construct as _, construct};
use super::value::{Flag, Text, Word};
use crate::definition::{Keep, Save};

construct! {
    /// Where the steps of a run work.
    Workspace
    set {
        /// The branch to start from.
        base "base": Text;
        /// The run's branch.
        branch "branch": Text;
        /// What becomes of uncommitted changes after each attempt.
        save "save": Word<Save>;
        /// The message of such a commit.
        message "message": Text;
        /// Its author, `NAME <EMAIL>`.
        author "author": Text;
        /// When the worktree stays after the run.
        keep "keep": Word<Keep>;
        /// Whether the branch stays.
        keep_branch "keep_branch": Flag;
    }
    also ["git", "dir"]
}

impl Workspace {
    /// A worktree of a git repository.
    pub fn git(repository: impl Into<Text>) -> Self {
        let repository: Text = repository.into();
        Self::empty().with_key("git", repository)
    }

    /// A folder that is there.
    pub fn dir(path: impl Into<Text>) -> Self {
        let path: Text = path.into();
        Self::empty().with_key("dir", path)
    }
}

/// Where one step works.
#[derive(Debug, Clone, PartialEq)]
pub struct StepWorkspace(Value);

impl StepWorkspace {
    /// In the run's workspace.
    #[must_use]
    pub fn run() -> Self {
        Self("run".into())
    }

    /// In a copy of the run's workspace that is thrown away.
    #[must_use]
    pub fn own() -> Self {
        Self("own".into())
    }

    /// In a folder of its own.
    #[must_use]
    pub fn none() -> Self {
        Self("none".into())
    }

    /// In a folder that is there.
    #[must_use]
    pub fn dir(path: impl Into<Text>) -> Self {
        let path: Text = path.into();
        Self(json!({ "dir": Value::from(path) }))
    }
}

impl From<StepWorkspace> for Value {
    fn from(workspace: StepWorkspace) -> Self {
        workspace.0
    }
}
