//! Locks that a killed git left behind: every git after it would stop there.
//!
//! Law: only locks of what the run itself changes are taken away: the index and the head of the folder that it works
//! in, which is its worktree or, without a workspace, the checkout that it was started in; and the branch it stands
//! on. One that is young may belong to a git that lives; it is waited for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Git, GitError};

/// How old a lock must be before it counts as left behind by a killed git.
pub(super) const AGE: Duration = Duration::from_secs(2);
/// How often one that is in the way is looked at again.
pub(super) const TRIES: u32 = 20;
/// How long to wait before each look.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// Frees a worktree in which processes may have been killed.
pub(crate) async fn free(worktree: &Path) -> Result<(), GitError> {
    let git = Git::at(worktree);
    let mut names = vec!["index.lock".to_owned(), "HEAD.lock".to_owned()];
    // None where no branch is checked out.
    if let Ok(branch) = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await {
        names.push(format!("{branch}.lock"));
    }
    free_named(&git, &names).await
}

/// Frees a branch that one run alone uses.
pub(super) async fn free_branch(git: &Git, branch: &str) -> Result<(), GitError> {
    free_named(git, &[format!("refs/heads/{branch}.lock")]).await
}

/// Waits until none of these is there, or has been there for longer than a living git needs.
async fn free_named(git: &Git, names: &[String]) -> Result<(), GitError> {
    let paths = names.iter().flat_map(|name| ["--git-path", name.as_str()]);
    let paths = git.text(&std::iter::once("rev-parse").chain(paths).collect::<Vec<_>>()).await?;
    let locks: Vec<PathBuf> = paths.lines().map(|path| git.folder.join(path)).collect();
    for _ in 0..TRIES {
        let mut is_free = true;
        for lock in &locks {
            is_free &= is_gone(lock).map_err(GitError::Io)?;
        }
        if is_free {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether there is no such lock, or it was too old and is gone now.
fn is_gone(lock: &Path) -> std::io::Result<bool> {
    let modified = match std::fs::metadata(lock) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if SystemTime::now().duration_since(modified).unwrap_or_default() < AGE {
        return Ok(false);
    }
    match std::fs::remove_file(lock) {
        Ok(()) => tracing::warn!(path = %lock.display(), "removed the lock of a git that was killed"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// Whether a call failed because another git is at work there, or was killed there.
pub(super) fn is_locked(error: &GitError) -> bool {
    matches!(error, GitError::Failed { message, .. } if message.contains(".lock': File exists"))
}
