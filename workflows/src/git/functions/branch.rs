//! `git.branch`.

use everfold_base::failure::{Failure, FailureKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failures::{broken, failed};
use super::references::{action, checked_branch, commit_named, commit_of_branch, made_by_us, worktree};
use crate::function::Call;
use crate::git::{GitError, free_locks};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BranchParameters {
    /// the branch
    #[schemars(length(min = 1))]
    name: String,
    /// where a new one starts; default: the commit that is checked out
    #[serde(default)]
    #[schemars(length(min = 1))]
    base: Option<String>,
    #[serde(default = "yes")]
    checkout: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BranchOutput {
    branch: String,
    sha: String,
    /// this step made it
    created: bool,
}

fn yes() -> bool {
    true
}

/// Makes a branch where there is none, and checks it out.
pub(super) async fn branch(call: Call, wanted: BranchParameters) -> Result<BranchOutput, Failure> {
    let git = worktree(&call).await?;
    free_locks(&git).await.map_err(broken)?;
    checked_branch(&git, &wanted.name).await?;
    let reference = format!("refs/heads/{}", wanted.name);
    let is_there = git.text(&["rev-parse", "--verify", "--quiet", &reference]).await.is_ok();
    if !is_there {
        let commit = match &wanted.base {
            Some(base) => commit_of_branch(&git, base).await?,
            None => commit_named(&git, "HEAD").await?,
        };
        let why = format!("{}: branch", action(call.idempotency_key()));
        // The zeros: only if it is still not there.
        let zeros = "0".repeat(commit.len());
        git.text(&["update-ref", "--create-reflog", "-m", &why, &reference, &commit, &zeros])
            .await
            .map_err(broken)?;
    }
    if wanted.checkout {
        let switched = ["-c", "core.hooksPath=/dev/null", "switch", "--quiet", "--no-guess", &wanted.name];
        git.text(&switched).await.map_err(|error| match error {
            GitError::Failed { message, .. } => failed(
                FailureKind::Conflict,
                "NOT_SWITCHED",
                format!("the branch {} cannot be checked out: {message}", wanted.name),
                "commit or reset what is changed, or take the branch out of the other worktree",
            ),
            other => broken(other),
        })?;
    }
    Ok(BranchOutput {
        sha: commit_named(&git, &reference).await?,
        created: made_by_us(&git, &reference, call.idempotency_key()).await,
        branch: wanted.name,
    })
}
