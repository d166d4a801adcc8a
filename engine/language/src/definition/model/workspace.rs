//! Where steps work.

use serde::{Deserialize, Serialize};

use crate::expr::Template;
use crate::words::Save;

/// Where the steps of a run work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceSpec {
    /// A worktree of a git repository.
    Git(GitWorkspace),
    /// A folder that is there.
    Dir(Template),
    /// The workspace of the run that started this one.
    Parent,
}

/// A worktree per run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GitWorkspace {
    /// The repository's path.
    pub git: Template,
    /// The branch to start from; `None`: the repository's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Template>,
    /// The run's branch; `None`: `everfold/SHORT_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Template>,
    /// What happens to leftovers after each attempt.
    #[serde(default, skip_serializing_if = "Save::is_none")]
    pub save: Save,
    /// The message of such a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Template>,
    /// The author of such a commit, `NAME <EMAIL>`; `None`: the settings'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Template>,
    /// When the worktree stays after the run.
    #[serde(default, skip_serializing_if = "Keep::is_never")]
    pub keep: Keep,
    /// Whether the branch stays; `None`: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_branch: Option<bool>,
}

/// When a worktree stays after the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// It goes.
    #[default]
    Never,
    /// It stays when the run did not succeed.
    Failed,
    /// It stays.
    Always,
}

impl Keep {
    fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// Where one step works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepWorkspace {
    /// In the run's workspace.
    #[default]
    Run,
    /// In a copy of the run's workspace that is thrown away.
    Own,
    /// In none: a folder of its own.
    None,
    /// In a folder that is there.
    Dir(Template),
}

impl StepWorkspace {
    pub(super) fn is_run(&self) -> bool {
        *self == Self::Run
    }
}
