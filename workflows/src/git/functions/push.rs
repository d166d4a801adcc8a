//! `git.push`.

use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::Value;
use serde::Deserialize;
use serde_json::json;

use super::{Context, broken, checked_branch, commit_named, current_branch, failed, plain, worktree};
use crate::function::Call;
use crate::git::{Git, GitError};
use crate::provider::{Providers, Remote};

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    branch: Option<String>,
    #[serde(default)]
    sha: Option<String>,
    #[serde(default = "origin")]
    remote: String,
    #[serde(default)]
    force: Force,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Force {
    #[default]
    Never,
    Lease,
}

fn origin() -> String {
    "origin".to_owned()
}

/// Pushes a commit. Where the branch is there already, or beyond, that is the end that was wanted.
pub(super) async fn push(context: Context, call: Call, wanted: Parameters) -> Result<Value, Failure> {
    let folder = worktree(&call).await?;
    let branch = match wanted.branch {
        Some(branch) => branch,
        None => current_branch(&folder).await?,
    };
    plain("name of a remote", &wanted.remote)?;
    let Some(remote) = Remote::of(&folder, &wanted.remote).await else {
        return Err(failed(
            FailureKind::Validation,
            "NO_REMOTE",
            format!("the repository has no remote {}", wanted.remote),
            "`git remote add origin URL` in the repository adds one",
        ));
    };
    let git = authorised(Git::at(&folder), &context.providers, &remote)?;
    checked_branch(&git, &branch).await?;
    let sha = commit_named(&git, wanted.sha.as_deref().unwrap_or("HEAD")).await?;
    let to = format!("refs/heads/{branch}");
    let pushed = |error: GitError| rejected(&error, &branch, &remote).unwrap_or_else(|| broken(error));
    if there(&git, &wanted.remote, &to).await.map_err(pushed)?.as_deref() != Some(sha.as_str()) {
        let mut arguments = vec!["-c", "gc.auto=0", "push", "--quiet", "--porcelain"];
        if wanted.force == Force::Lease {
            arguments.push("--force-with-lease");
        }
        let refspec = format!("{sha}:{to}");
        arguments.extend(["--", wanted.remote.as_str(), refspec.as_str()]);
        if let Err(error) = git.text(&arguments).await {
            // Somebody may have built on what an earlier attempt pushed.
            if !is_beyond(&git, &wanted.remote, &to, &sha).await {
                return Err(pushed(error));
            }
        }
    }
    Ok(json!({"branch": branch, "sha": sha, "remote": remote.shown()}))
}

/// The commit that a branch of a remote stands on.
async fn there(git: &Git, remote: &str, reference: &str) -> Result<Option<String>, GitError> {
    let listed = git.text(&["ls-remote", "--quiet", "--", remote, reference]).await?;
    let line = listed.lines().find(|line| line.split_whitespace().nth(1) == Some(reference));
    Ok(line.and_then(|line| line.split_whitespace().next()).map(str::to_owned))
}

/// Whether the branch there holds the commit already, with more on top.
async fn is_beyond(git: &Git, remote: &str, reference: &str, sha: &str) -> bool {
    let Ok(Some(there)) = there(git, remote, reference).await else { return false };
    let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, reference];
    git.text(&fetch).await.is_ok() && git.text(&["merge-base", "--is-ancestor", sha, &there]).await.is_ok()
}

fn rejected(error: &GitError, branch: &str, remote: &Remote) -> Option<Failure> {
    let GitError::Failed { message, .. } = error else { return None };
    let place = remote.shown();
    let has = |part: &str| message.contains(part);
    Some(if has("could not read Username") || has("Authentication failed") || has("Permission denied") {
        failed(
            FailureKind::Error,
            "UNAUTHORISED",
            format!("{place} does not take the push: {message}"),
            "give the provider of that address a `token` in everfold.toml, or the user of the engine a key",
        )
    } else if has("Could not resolve host") || has("unable to access") || has("Could not read from remote") {
        failed(
            FailureKind::Error,
            "UNREACHABLE",
            format!("{place} cannot be reached: {message}"),
            "`retry` in the step makes the engine try again by itself",
        )
    } else {
        failed(
            FailureKind::Conflict,
            "PUSH_REJECTED",
            format!("{place} rejects the push to {branch}: {message}"),
            "somebody else pushed there, or the branch is protected: merge or rebase, or choose another branch",
        )
    })
}

/// Git with the token of the service that the remote lies at, where there is one. The header is for that
/// address alone, and stands in the environment of git, never among its arguments.
pub(super) fn authorised(git: Git, providers: &Providers, remote: &Remote) -> Result<Git, Failure> {
    use base64::Engine as _;
    if !remote.is_http {
        return Ok(git);
    }
    let Some((web_url, token)) = providers.token_for(remote)? else { return Ok(git) };
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
    Ok(git
        .with_env("GIT_CONFIG_COUNT", "1")
        .with_env("GIT_CONFIG_KEY_0", &format!("http.{web_url}/.extraHeader"))
        .with_env("GIT_CONFIG_VALUE_0", &format!("Authorization: Basic {basic}"))
        .hiding(&token)
        .hiding(&basic))
}
