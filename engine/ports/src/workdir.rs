//! Where work runs.
//!
//! Law: values only.

use everfold_language::definition::Save;
use std::path::PathBuf;

/// Where work runs.
#[derive(Debug, Clone)]
pub struct Workdir {
    /// The folder.
    pub path: PathBuf,
    /// The run's worktree, where `path` is one.
    pub git: Option<GitWorkdir>,
}

/// What an executor must know of a worktree.
#[derive(Debug, Clone)]
pub struct GitWorkdir {
    /// Whether leftovers are committed after the attempt.
    pub save: Save,
    /// The message of that commit.
    pub message: Option<String>,
    /// Its author, `NAME <EMAIL>`.
    pub author: Option<String>,
    /// The commit the run started from.
    pub base_commit: String,
    /// It is a copy that is thrown away: nothing in it is saved.
    pub is_copy: bool,
    /// The repository that it is a worktree of. Where the folder belongs to another one, it is not the run's.
    pub repository: PathBuf,
    /// The run's own branch; `None`: none is known.
    pub branch: Option<String>,
}
