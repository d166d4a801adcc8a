//! `git.push`.

use std::path::PathBuf;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Hash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::failures::{broken, failed};
use super::references::{checked_branch, commit_named, current_branch, plain, worktree};
use crate::function::Call;
use crate::git::authorise::authorised;
use crate::git::branch_moved::{is_behind, there};
use crate::git::{Git, GitError};
use crate::private_file::{make_private, write_private};
use crate::provider::Remote;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PushParameters {
    /// default: the branch that is checked out
    #[serde(default)]
    #[schemars(length(min = 1))]
    branch: Option<String>,
    /// default: the commit that is checked out
    #[serde(default)]
    #[schemars(length(min = 1))]
    sha: Option<String>,
    #[serde(default = "origin")]
    #[schemars(length(min = 1))]
    remote: String,
    /// lease: over a branch that is as it was when this repository saw it last before the round's first attempt
    #[serde(default)]
    force: Force,
}

impl PushParameters {
    /// What a local branch stands at, to the branch of its name at `origin`.
    pub(super) fn of_branch(branch: &str) -> Self {
        let sha = Some(format!("refs/heads/{branch}"));
        Self { branch: Some(branch.to_owned()), sha, remote: origin(), force: Force::Never }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PushOutput {
    branch: String,
    sha: String,
    remote: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
pub(super) async fn push(
    context: Context,
    call: Call,
    wanted: PushParameters,
) -> Result<PushOutput, Failure> {
    let git = worktree(&call).await?;
    let branch = match wanted.branch {
        Some(branch) => branch,
        None => current_branch(&git).await?,
    };
    plain("name of a remote", &wanted.remote)?;
    let Some(remote) = Remote::of(&git, &wanted.remote).await.map_err(broken)? else {
        return Err(failed(
            FailureKind::Validation,
            "NO_REMOTE",
            format!("the repository has no remote {}", wanted.remote),
            "`git remote add origin URL` in the repository adds one",
        ));
    };
    let git = authorised(git, context.providers.token_for(&remote)?, &remote);
    checked_branch(&git, &branch).await?;
    let sha = commit_named(&git, wanted.sha.as_deref().unwrap_or("HEAD")).await?;
    let to = format!("refs/heads/{branch}");
    let pushed = |error: GitError| rejected(&error, &branch, &remote).unwrap_or_else(|| broken(error));
    let found = there(&git, &wanted.remote, &to).await.map_err(pushed)?;
    if found.as_deref() != Some(sha.as_str()) {
        let mut arguments = vec!["push", "--quiet", "--porcelain"];
        let lease = match wanted.force {
            Force::Never => None,
            Force::Lease => {
                Some(lease(&git, &call, (&wanted.remote, &branch), &sha, found.as_deref()).await?)
            }
        };
        let lease = lease.map(|expected| format!("--force-with-lease={to}:{expected}"));
        arguments.extend(lease.as_deref());
        let refspec = format!("{sha}:{to}");
        arguments.extend(["--", wanted.remote.as_str(), refspec.as_str()]);
        if let Err(error) = git.text(&arguments).await {
            // Others may have built on what an earlier attempt pushed.
            if !is_beyond(&git, &wanted.remote, &to, &sha).await {
                let there = found.as_deref().filter(|_| is_behind(&error));
                let apart = there.map(|there| diverged(&git, &branch, &remote, (&sha, there)));
                return Err(apart.unwrap_or_else(|| pushed(error)));
            }
        }
    }
    Ok(PushOutput { remote: remote.shown(), branch, sha })
}

/// What a round's attempts may push over.
#[derive(Default, Serialize, Deserialize)]
struct ForceLease {
    /// Where the branch stood when this repository saw it last before the round's first attempt; `None`: it
    /// never saw it.
    seen: Option<String>,
    /// What attempts of the round pushed, or tried to.
    own: Vec<String>,
}

/// The commit on which the branch must still stand for the push to go over it; empty: there must be none. It is
/// what the round's first attempt saw: what others fetch into the repository since then, and what this function
/// looks at, does not permit overwriting the work of others. What the round itself pushed is its own.
async fn lease(
    git: &Git,
    call: &Call,
    (remote, branch): (&str, &str),
    sha: &str,
    found: Option<&str>,
) -> Result<String, Failure> {
    let note = note_of(call, remote, branch);
    let kept = note.as_ref().and_then(|note| std::fs::read(note).ok());
    let mut lease = match kept.and_then(|text| serde_json::from_slice::<ForceLease>(&text).ok()) {
        Some(lease) => lease,
        None => {
            let tracked = format!("refs/remotes/{remote}/{branch}^{{commit}}");
            let seen = match git.text(&["rev-parse", "--verify", "--quiet", &tracked]).await {
                Ok(seen) => Some(seen),
                Err(GitError::Failed { .. }) => None,
                Err(error) => return Err(broken(error)),
            };
            ForceLease { seen, own: Vec::new() }
        }
    };
    let expected = match found {
        Some(found) if lease.own.iter().any(|own| own == found) => Some(found.to_owned()),
        _of_others => lease.seen.clone(),
    };
    if !lease.own.iter().any(|own| own == sha) {
        lease.own.push(sha.to_owned());
    }
    if let Some(note) = note {
        let written = serde_json::to_vec(&lease).map_err(std::io::Error::from).and_then(|text| {
            note.parent().map_or(Ok(()), make_private)?;
            write_private(&note, &text)
        });
        written.map_err(|error| broken(GitError::Io(error)))?;
    }
    Ok(expected.unwrap_or_default())
}

/// Beside the folders of the round's attempts, so that all of them find it.
fn note_of(call: &Call, remote: &str, branch: &str) -> Option<PathBuf> {
    let about = Hash::of(format!("{}\0{remote}\0{branch}", call.idempotency_key()).as_bytes());
    Some(call.attempt_folder()?.parent()?.join(format!("lease-{}.json", &about.to_string()[..16])))
}

/// Whether the branch there holds the commit already, with more on top. Looking moves no reference.
async fn is_beyond(git: &Git, remote: &str, reference: &str, sha: &str) -> bool {
    let Ok(Some(there)) = there(git, remote, reference).await else { return false };
    let fetch =
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--", remote, reference];
    git.text(&fetch).await.is_ok() && git.text(&["merge-base", "--is-ancestor", sha, &there]).await.is_ok()
}

/// The branch there has commits that this one does not hold.
fn diverged(git: &Git, branch: &str, remote: &Remote, (ours, theirs): (&str, &str)) -> Failure {
    let [ours, theirs] = [ours, theirs].map(|commit| commit.get(..12).unwrap_or(commit));
    let folder = git.folder.display();
    failed(
        FailureKind::Conflict,
        "PUSH_REJECTED",
        format!(
            "{branch} stands at {theirs} in {}, and {ours} from here does not hold that: nothing was pushed",
            remote.shown()
        ),
        &format!(
            "`git -C '{folder}' fetch origin {branch}` and `git -C '{folder}' merge FETCH_HEAD` join both, then retry the step; \
             or take another branch. `force: lease` of `git.push` puts this one in its place"
        ),
    )
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
    } else if has("does not appear to be a git repository") {
        failed(
            FailureKind::Error,
            "NO_REMOTE",
            format!("{place} is no repository: {message}"),
            "look at the address of the remote; a relative one counts from the folder that is pushed from",
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
