//! Locks that a killed git left behind: every git after it would stop there.
//!
//! Law: locks are taken away in a run's own worktree alone, of its index, its head and the branch that it stands
//! on, and only when nothing that could hold them lives: no process of a run that works there, and no git. In a
//! user's checkout a lock is waited for, and never removed.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::call::Git;
use super::error::GitError;
use super::error::TIME_LIMIT;
use crate::shim::os;

/// How old a lock must be before it counts as left behind by a killed git.
pub(super) const AGE: Duration = Duration::from_secs(2);
/// How often one that is in the way is looked at again.
pub(super) const TRIES: u32 = 20;
/// How long to wait before each look.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// Frees a worktree in which processes may have been killed.
pub(crate) async fn free(git: &Git) -> Result<(), GitError> {
    let mut names = vec!["index.lock".to_owned(), "HEAD.lock".to_owned()];
    // None where no branch is checked out.
    if let Ok(branch) = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await {
        names.push(format!("{branch}.lock"));
    }
    let whose = if git.own.is_some() { Whose::Runs(&git.folder) } else { Whose::Peoples };
    free_named(git, &names, whose).await
}

/// Frees a branch that one run alone uses, in the repository of which its worktree is made.
pub(super) async fn free_branch(git: &Git, branch: &str) -> Result<(), GitError> {
    free_named(git, &[format!("refs/heads/{branch}.lock")], Whose::Runs(&git.folder)).await
}

/// The processes that may hold a lock.
#[derive(Clone, Copy)]
enum Whose<'a> {
    /// A run that works in this folder.
    Runs(&'a Path),
    /// The people whose checkout it is.
    Peoples,
}

/// Waits until none of these is there, or nothing lives that could hold it.
async fn free_named(git: &Git, names: &[String], whose: Whose<'_>) -> Result<(), GitError> {
    let paths = names.iter().flat_map(|name| ["--git-path", name.as_str()]);
    let paths = git.text(&std::iter::once("rev-parse").chain(paths).collect::<Vec<_>>()).await?;
    let locks: Vec<PathBuf> = paths.lines().map(|path| git.folder.join(path)).collect();
    for _ in 0..TRIES {
        let mut is_free = true;
        for lock in &locks {
            is_free &= is_gone(lock, whose).map_err(GitError::Io)?;
        }
        if is_free {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether there is no such lock, or it was left behind and is gone now.
fn is_gone(lock: &Path, whose: Whose<'_>) -> std::io::Result<bool> {
    let modified = match std::fs::metadata(lock) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let Whose::Runs(folder) = whose else { return Ok(false) };
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age < AGE || is_in_use(folder, age) {
        return Ok(false);
    }
    match std::fs::remove_file(lock) {
        Ok(()) => tracing::warn!(path = %lock.display(), "removed the lock of a git that was killed"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// Whether something lives that works in the folder: a process of a run, or any git. Where the system does not
/// list its processes, a lock is in use for as long as a call of git may take.
fn is_in_use(folder: &Path, age: Duration) -> bool {
    let all = os::all();
    if all.is_empty() {
        return age < TIME_LIMIT;
    }
    let me = std::process::id().cast_signed();
    let living = all.iter().filter(|stat| stat.pid != me && !matches!(stat.state, b'Z' | b'X'));
    living.map(|stat| stat.pid).any(|pid| works_in(pid, folder))
}

fn works_in(pid: i32, folder: &Path) -> bool {
    let at = |name: &str| format!("/proc/{pid}/{name}");
    let is_git = std::fs::read_to_string(at("comm")).is_ok_and(|name| name.trim_end().starts_with("git"));
    if is_git {
        match std::fs::read_link(at("cwd")) {
            Ok(place) if place.starts_with(folder) => return true,
            // Another user's: it may work there for all that is known.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return true,
            Ok(_) | Err(_) => {}
        }
    }
    let environ = std::fs::read(at("environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|variable| {
        let workspace = variable.strip_prefix(b"EVERFOLD_WORKSPACE=").map(OsStr::from_bytes);
        workspace.is_some_and(|workspace| {
            Path::new(workspace).canonicalize().is_ok_and(|place| place.starts_with(folder))
        })
    })
}

/// Whether a call failed because another git is at work there, or was killed there.
pub(super) fn is_locked(error: &GitError) -> bool {
    matches!(error, GitError::Failed { message, .. } if message.contains(".lock': File exists"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use everfold_language::definition::Save;
    use everfold_ports::{GitWorkdir, Workdir};

    use super::*;

    async fn repository() -> (tempfile::TempDir, Git) {
        let folder = tempfile::tempdir().unwrap();
        Git::at(folder.path()).text(&["init", "--quiet"]).await.unwrap();
        let git = GitWorkdir {
            save: Save::None,
            message: None,
            author: None,
            base_commit: String::new(),
            is_copy: false,
            repository: folder.path().to_owned(),
            branch: None,
        };
        let workdir = Workdir { path: folder.path().to_owned(), git: Some(git) };
        let git = Git::within(&workdir).unwrap();
        (folder, git)
    }

    fn lock(folder: &Path) -> PathBuf {
        let place = folder.join(".git/index.lock");
        let lock = std::fs::File::create(&place).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(3_600)).unwrap();
        place
    }

    /// A lock was taken from a living git after two seconds, also in checkouts of users.
    #[tokio::test]
    async fn row_65_a_lock_in_a_checkout_of_people_stays_however_old_it_is() {
        let (folder, _git) = repository().await;
        let place = lock(folder.path());
        free(&Git::at(folder.path())).await.unwrap();
        assert!(place.exists());
    }

    #[tokio::test]
    async fn row_65_a_lock_is_taken_only_where_nothing_of_a_run_lives() {
        let (folder, git) = repository().await;
        let place = lock(folder.path());
        let mut command = Command::new("sleep");
        command.arg("600").env("EVERFOLD_WORKSPACE", folder.path()).stdin(Stdio::null());
        let mut process = command.spawn().unwrap();
        free(&git).await.unwrap();
        let stayed = place.exists();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(stayed, "a process of the run works there");
        // A git that another program calls there; it waits for its input.
        let mut command = Command::new("git");
        command.args(["cat-file", "--batch"]).current_dir(folder.path()).stdin(Stdio::piped());
        let mut process = command.stdout(Stdio::null()).spawn().unwrap();
        free(&git).await.unwrap();
        let stayed = place.exists();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(stayed, "a git works there");
        free(&git).await.unwrap();
        assert!(!place.exists());
    }
}
