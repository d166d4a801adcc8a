//! Where evidence in a file comes from: the worktree, or a commit.

use std::path::Path;

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

/// Reads a file of a commit.
pub(super) async fn in_commit(
    workdir: &Workdir,
    reference: &str,
    path: &str,
) -> Result<(String, Content), ProbeFailure> {
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
