//! Where evidence in a file comes from: the worktree, or a commit.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use everfold_base::blobs::Blobs;
use everfold_base::id::RunId;
use everfold_base::json::{Hash, Value};
use everfold_ports::{ProbeFailure, Workdir};
use serde_json::json;

use super::failures::{gone, never, not_now};
use crate::git::{Git, GitError, head};
use crate::secret::Mask;
use crate::workspace_path::{ResolvedPath, resolve};
use everfold_system::regular::read_bounded;

/// The largest file that is read as evidence.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How long git may take to show a file of a commit: its objects lie on the disk.
const SHOW_TIME: Duration = Duration::from_secs(15);

/// What stands at a place.
pub(super) enum Content {
    /// The file's bytes.
    Bytes(Vec<u8>),
    /// There is none.
    Missing,
    /// It is there and was not read: too large, or not asked for.
    Unread,
}

/// Reads a file of the worktree.
pub(super) fn in_worktree(workdir: &Path, path: &str) -> Result<Content, ProbeFailure> {
    match resolve(workdir, path) {
        ResolvedPath::Outside(reason) => Err(never(reason)),
        ResolvedPath::Missing => Ok(Content::Missing),
        ResolvedPath::Inside(file) if !file.is_file() => Ok(Content::Missing),
        ResolvedPath::Inside(file) => match read_bounded(&file, FILE_BYTES_MAX) {
            Ok(Some(bytes)) => Ok(Content::Bytes(bytes)),
            Ok(None) => Ok(Content::Unread),
            Err(error) => Err(not_now(format!("{path} could not be read: {error}"))),
        },
    }
}

/// What stands in the worktree at the place of a file, where that is none.
pub(super) fn no_file(workdir: &Path, path: &str) -> Option<&'static str> {
    let ResolvedPath::Inside(file) = resolve(workdir, path) else { return None };
    let kind = std::fs::metadata(file).ok()?.file_type();
    Some(match () {
        () if kind.is_file() => return None,
        () if kind.is_dir() => "is a folder, not a file",
        () if kind.is_fifo() => "is a named pipe, not a file",
        () if kind.is_socket() => "is a socket, not a file",
        () => "is a device, not a file",
    })
}

/// Reads a file of a commit; git gets [`SHOW_TIME`] for it.
pub(super) async fn in_commit(
    workdir: &Workdir,
    reference: &str,
    path: &str,
) -> Result<(String, Content), ProbeFailure> {
    within(SHOW_TIME, reference, read(workdir, reference, path)).await
}

async fn within<T>(
    limit: Duration,
    reference: &str,
    reading: impl Future<Output = Result<T, ProbeFailure>>,
) -> Result<T, ProbeFailure> {
    let late = |_| not_now(format!("git did not show {reference} within {} s", limit.as_secs()));
    tokio::time::timeout(limit, reading).await.map_err(late)?
}

async fn read(workdir: &Workdir, reference: &str, path: &str) -> Result<(String, Content), ProbeFailure> {
    if workdir.git.is_none() {
        return Err(never(format!("`from: {reference}` needs a git workspace")));
    }
    if reference.starts_with('-') {
        return Err(never(format!("{reference} is no name of a commit")));
    }
    let path = relative(&workdir.path, path)?;
    let git = Git::within(workdir).map_err(gone)?;
    let commit = git
        .text(&["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")])
        .await
        .map_err(|error| match error {
            GitError::Failed { .. } => not_now(format!("there is no commit {reference} in the repository")),
            other => not_now(other.to_string()),
        })?;
    let object = format!("{commit}:{path}");
    let size = match git.text(&["cat-file", "-s", &object]).await {
        Ok(size) => size.parse::<u64>().unwrap_or(u64::MAX),
        Err(GitError::Failed { .. }) => return Ok((commit, Content::Missing)),
        Err(other) => return Err(not_now(other.to_string())),
    };
    if size > FILE_BYTES_MAX {
        return Ok((commit, Content::Unread));
    }
    match git.bytes(&["cat-file", "blob", &object]).await {
        Ok(bytes) => Ok((commit, Content::Bytes(bytes))),
        Err(GitError::Failed { .. }) => Ok((commit, Content::Missing)),
        Err(other) => Err(not_now(other.to_string())),
    }
}

/// When a file was last changed by a commit of that history, in seconds; `None`: no commit has changed it.
pub(super) async fn changed_at(
    workdir: &Workdir,
    reference: &str,
    path: &str,
) -> Result<Option<i64>, ProbeFailure> {
    let path = relative(&workdir.path, path)?;
    let git = Git::within(workdir).map_err(gone)?;
    let asked = ["log", "-1", "--format=%ct", "--end-of-options", reference, "--", &path];
    match git.text(&asked).await {
        Ok(seconds) => Ok(seconds.trim().parse().ok()),
        Err(error) => Err(not_now(error.to_string())),
    }
}

/// The path inside the worktree, as git names it.
fn relative(workdir: &Path, path: &str) -> Result<String, ProbeFailure> {
    let relative = match Path::new(path).strip_prefix(workdir) {
        Ok(inside) => inside.to_string_lossy().into_owned(),
        Err(_) => path.trim_start_matches("./").to_owned(),
    };
    let leads_out = relative.starts_with('/') || relative.split('/').any(|part| part == "..");
    if leads_out { Err(never(format!("{path} leads out of the workspace"))) } else { Ok(relative) }
}

/// The `source` of evidence in a file; with `kept`, its content is kept as a blob of the run, masked.
pub(super) fn describe(
    kept: Option<(&dyn Blobs, RunId)>,
    mask: &Mask,
    path: &str,
    commit: Option<&str>,
    bytes: Option<&[u8]>,
) -> Value {
    let masked = bytes.and_then(|bytes| mask.bytes(bytes));
    let bytes = masked.as_deref().or(bytes);
    if let (Some((blobs, run)), Some(bytes)) = (kept, bytes)
        && let Err(error) = blobs.put(run, bytes)
    {
        tracing::warn!(%run, %error, path, "could not keep evidence as a blob");
    }
    let hash = bytes.map(|bytes| Hash::of(bytes).to_string());
    json!({"path": path, "commit": commit, "blob": hash})
}

/// The head of the judged worktree, where there is one.
pub(super) async fn commit_of(workdir: &Workdir) -> Option<String> {
    workdir.git.as_ref()?;
    head(workdir).await.ok()
}

#[cfg(test)]
pub(super) mod tests {
    use everfold_language::definition::Save;
    use everfold_ports::GitWorkdir;

    use super::*;

    /// A worktree of a repository whose main has one commit; the remote `origin` is said to have it, too.
    pub(in crate::probe) async fn a_worktree() -> (tempfile::TempDir, Git, Workdir) {
        let home = tempfile::tempdir().unwrap();
        let (repository, worktree) = (home.path().join("repository"), home.path().join("worktree"));
        std::fs::create_dir(&repository).unwrap();
        let git = Git::at(&repository);
        std::fs::write(repository.join("a"), "1").unwrap();
        let worktree_text = worktree.display().to_string();
        for call in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["add", "a"],
            &["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", "m"],
            &["remote", "add", "origin", "https://example.org/a.git"],
            &["update-ref", "refs/remotes/origin/main", "main"],
            &["worktree", "add", "--quiet", "-b", "task", &worktree_text],
        ] {
            git.text(call).await.unwrap();
        }
        let base_commit = git.text(&["rev-parse", "main"]).await.unwrap();
        let made = GitWorkdir {
            save: Save::default(),
            message: None,
            author: None,
            base_commit,
            is_copy: false,
            repository,
            branch: Some("task".to_owned()),
        };
        (home, git, Workdir { path: worktree, git: Some(made) })
    }

    #[tokio::test]
    async fn o067_a_git_that_shows_nothing_is_given_up_and_asked_another_time() {
        let (home, git, workdir) = a_worktree().await;
        let commit = git.text(&["rev-parse", "origin/main"]).await.unwrap();
        let object = home.path().join("repository/.git/objects").join(&commit[..2]).join(&commit[2..]);
        std::fs::remove_file(&object).unwrap();
        // Who opens it to read waits for one who writes.
        rustix::fs::mkfifoat(rustix::fs::CWD, &object, rustix::fs::Mode::RUSR).unwrap();
        let read = read(&workdir, "origin/main", "a");
        let failed = within(Duration::from_secs(1), "origin/main", read).await.err().unwrap();
        assert!(!failed.permanent, "{failed:?}");
        assert_eq!(failed.message, "git did not show origin/main within 1 s");
    }
}
