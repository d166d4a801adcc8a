//! The folder of all worktrees, and whose turn it is to change those of a repository.

use std::path::{Path, PathBuf};

use super::error::GitError;
use super::own_worktree::common_dir_of;
use super::turn::{RepositoryTurn, RepositoryTurns};
use crate::process::make_absolute;

/// Makes worktrees under one folder.
#[derive(Clone)]
pub struct GitWorkspaces {
    pub(super) root: PathBuf,
    turns: RepositoryTurns,
}

impl GitWorkspaces {
    /// Worktrees go below `root`, one folder per run.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let mut root = root.to_owned();
        make_absolute(&mut root);
        Self { root, turns: RepositoryTurns::default() }
    }

    /// The git folder of a repository, and the turn to change its worktrees.
    pub(super) async fn turn(&self, repository: &Path) -> Result<(PathBuf, RepositoryTurn), GitError> {
        let common_dir = common_dir_of(repository).map_err(GitError::Io)?;
        let turn = self.turns.take(&common_dir).await.map_err(GitError::Io)?;
        Ok((common_dir, turn))
    }
}
