//! Copies of a run's worktree that single attempts are given (`workspace: own`).
//!
//! Law: a copy is whole when its mark stands beside it; one without is made anew.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_ports::Workspace;

use super::call::Git;
use super::discard::discard;
use super::repository::unable;
use super::unwritable::unwritable;
use super::workspaces::GitWorkspaces;
use crate::private_file::{make_private, write_private};

/// The end of the name of the folder in which a run's copies lie.
pub(super) const COPIES: &str = ".own";
/// The end of the name of the mark of a copy that is whole.
const MADE: &str = "made";

impl GitWorkspaces {
    /// Makes a copy of a worktree, over whatever a crash left of it.
    pub(super) async fn make_copy(
        &self,
        workspace: &Workspace,
        commit: &str,
        path: &Path,
    ) -> Result<(), Failure> {
        let Some(repository) = workspace.repository.as_deref().map(Path::new) else {
            return Err(Failure::new(FailureKind::Spawn, "the run's workspace is no worktree of git"));
        };
        let (common_dir, _turn) = self.turn(repository).await.map_err(|error| unable(&error))?;
        if is_whole(path) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        make_private(folder).map_err(|error| unwritable(folder, &error))?;
        discard(&common_dir, path).await.map_err(|error| unable(&error))?;
        let shown = path.display().to_string();
        let arguments = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach"];
        let git = Git::of(repository);
        git.text(&[&arguments[..], &[&shown, commit]].concat()).await.map_err(|error| unable(&error))?;
        write_private(&mark_of(path), b"").map_err(|error| unwritable(folder, &error))
    }

    /// Takes away copies of a run: these, or all.
    pub(super) async fn discard_copies(
        &self,
        run: RunId,
        repository: Option<&Path>,
        only: Option<HashSet<PathBuf>>,
    ) {
        let folder = self.copies(run);
        let is_all = only.is_none();
        let all = || std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let unwanted = only.unwrap_or_else(|| all().filter(|path| path.is_dir()).collect());
        for path in unwanted.iter().filter(|path| path.starts_with(&folder)) {
            let _gone = std::fs::remove_file(mark_of(path));
            match repository.filter(|repository| repository.is_dir()) {
                Some(repository) => {
                    let discarded = async {
                        let (common_dir, _turn) = self.turn(repository).await?;
                        discard(&common_dir, path).await
                    };
                    if let Err(error) = discarded.await {
                        tracing::warn!(%run, %error, "could not remove a copy of a worktree");
                    }
                }
                None => drop(std::fs::remove_dir_all(path)),
            }
        }
        if is_all {
            let _marks = std::fs::remove_dir_all(&folder);
        } else {
            let _others_are_there = std::fs::remove_dir(&folder);
        }
    }

    pub(super) fn copies(&self, run: RunId) -> PathBuf {
        self.root.join(format!("{run}{COPIES}"))
    }
}

/// The repository of a run's copies, as git notes it in one of them.
pub(super) fn noted_repository(copies: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(copies).into_iter().flatten().flatten();
    let noted = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join(".git")).ok());
    // `gitdir: REPOSITORY/.git/worktrees/NAME`, or without `.git` where the repository is bare.
    noted
        .filter_map(|text| {
            let place = PathBuf::from(text.strip_prefix("gitdir:")?.trim());
            let common = place.parent()?.parent()?;
            let inner = common.file_name().is_some_and(|name| name == ".git");
            Some(if inner { common.parent()?.to_owned() } else { common.to_owned() })
        })
        .next()
}

/// Beside a copy: it was made to its end.
fn mark_of(copy: &Path) -> PathBuf {
    let mut name = copy.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{MADE}"));
    copy.with_file_name(name)
}

fn is_whole(copy: &Path) -> bool {
    mark_of(copy).exists() && copy.join(".git").is_file()
}
