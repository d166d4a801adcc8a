//! `git.commit`.

use everfold_base::failure::{Failure, FailureKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::failures::{broken, failed};
use super::references::{action, commit_named, made_by_us, plain, worktree};
use crate::function::Call;
use crate::git::repository::branch_of;
use crate::git::save::{identity, is_merging};
use crate::git::standing::unmerged;
use crate::git::{Git, GitError, free_locks};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitParameters {
    #[schemars(length(min = 1))]
    message: String,
    /// only these; default: everything
    #[serde(default)]
    #[schemars(length(min = 1), inner(length(min = 1)))]
    paths: Option<Vec<String>>,
    #[serde(default)]
    #[schemars(
        regex(pattern = "<.+>"),
        description = "NAME <EMAIL>; default: the workspace's, else the settings'"
    )]
    author: Option<String>,
    /// run the repository's hooks
    #[serde(default)]
    verify: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CommitOutput {
    /// this step made the commit; false: there was nothing to commit
    committed: bool,
    sha: String,
    branch: Option<String>,
    files: Vec<String>,
}

/// Commits what is changed. The entry in the reflog that comes with the commit names the round, so that
/// a repeat after a crash knows its own commit.
pub(super) async fn commit(
    context: Context,
    call: Call,
    wanted: CommitParameters,
) -> Result<CommitOutput, Failure> {
    let place = worktree(&call).await?;
    let own = call.workdir().git.as_ref().and_then(|git| git.author.clone());
    let author = wanted.author.or(own).unwrap_or(context.author);
    let (name, email) = identity(&author);
    let mut git = place.clone().with_env("GIT_REFLOG_ACTION", &action(call.idempotency_key()));
    for who in ["AUTHOR", "COMMITTER"] {
        git = git.with_env(&format!("GIT_{who}_NAME"), name).with_env(&format!("GIT_{who}_EMAIL"), email);
    }
    // A call of git that was killed with the engine leaves locks behind.
    free_locks(&place).await.map_err(broken)?;
    if let Some(names) = unmerged(&git).await.map_err(broken)? {
        return Err(failed(
            FailureKind::Conflict,
            "UNMERGED",
            format!("{names} has conflicts of a merge that nobody resolved"),
            "resolve them and `git add` the files, or `git merge --abort`, in a step before",
        ));
    }
    let paths = match &wanted.paths {
        Some(paths) => Some(added(&git, paths).await?),
        None => {
            git.text(&["add", "--all"]).await.map_err(broken)?;
            None
        }
    };
    if is_changed(&git, paths.as_deref()).await? {
        let mut arguments = vec!["--literal-pathspecs", "-c", "core.logAllRefUpdates=true"];
        arguments.extend(["-c", "commit.gpgSign=false", "-c", "gc.auto=0", "commit", "--quiet"]);
        if !wanted.verify {
            arguments.push("--no-verify");
        }
        arguments.extend(["-m", &wanted.message]);
        if let Some(paths) = &paths {
            arguments.extend(["--only", "--"]);
            arguments.extend(paths);
        }
        git.text(&arguments).await.map_err(broken)?;
    }
    let sha = commit_named(&git, "HEAD").await?;
    let committed = made_by_us(&git, "HEAD", call.idempotency_key()).await;
    let files = if committed { changed_by(&git, &sha).await? } else { Vec::new() };
    Ok(CommitOutput { committed, sha, branch: branch_of(&git).await, files })
}

/// Puts the paths into the index; gives those of which there is something. One that is gone and was
/// committed as gone already is none.
async fn added<'a>(git: &Git, paths: &'a [String]) -> Result<Vec<&'a str>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        plain("path", path)?;
        match git.text(&["--literal-pathspecs", "add", "--all", "--", path]).await {
            Ok(_) => found.push(path.as_str()),
            Err(GitError::Failed { message, .. }) if message.contains("did not match any files") => {
                // It was taken out of the index already.
                if git.text(&["cat-file", "-e", &format!("HEAD:./{path}")]).await.is_ok() {
                    found.push(path.as_str());
                }
            }
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(found)
}

/// Whether there is something to commit; a merge is, also where it changes nothing.
async fn is_changed(git: &Git, paths: Option<&[&str]>) -> Result<bool, Failure> {
    if paths.is_some_and(<[&str]>::is_empty) {
        return Ok(false);
    }
    let mut arguments = vec!["--literal-pathspecs", "diff", "--cached", "--quiet", "--no-ext-diff"];
    arguments.extend(["--no-renames", "--"]);
    arguments.extend(paths.into_iter().flatten());
    Ok(!git.says(&arguments).await.map_err(broken)? || is_merging(git).await.map_err(broken)?)
}

async fn changed_by(git: &Git, sha: &str) -> Result<Vec<String>, Failure> {
    let arguments = ["diff-tree", "--root", "--no-commit-id", "--name-only", "--no-renames", "-r", "-z", sha];
    let (list, is_all) = git.beginning(&arguments, FILES_BYTES_MAX).await.map_err(broken)?;
    let list = String::from_utf8_lossy(&list);
    // The last name of a list that was cut may be half of one.
    let list = if is_all { &list } else { list.rsplit_once('\0').map_or("", |(whole, _)| whole) };
    Ok(list.split('\0').filter(|name| !name.is_empty()).take(FILES_MAX).map(str::to_owned).collect())
}

/// More names are not given.
const FILES_MAX: usize = 500;
/// … and of long names fewer.
const FILES_BYTES_MAX: u64 = 256 * 1024;
