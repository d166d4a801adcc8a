//! The working folder, branches and commits that the functions `git.*` are given by name.

use everfold_base::failure::{Failure, FailureKind};

use super::failures::{broken, failed};
use crate::function::Call;
use crate::git::call::Git;
use crate::git::error::GitError;
use crate::git::repository::{branch_of, commit_of, is_plain};

/// The working folder, if it lies in a repository.
pub(super) async fn worktree(call: &Call) -> Result<Git, Failure> {
    let path = call.folder();
    let git = Git::within(call.workdir()).map_err(broken)?;
    let inside = git.text(&["rev-parse", "--is-inside-work-tree"]).await;
    match inside {
        Ok(answer) if answer == "true" => Ok(git),
        Err(error @ (GitError::Missing | GitError::TimedOut { .. })) => Err(broken(error)),
        Ok(_) | Err(_) => Err(failed(
            FailureKind::Spawn,
            "NO_REPOSITORY",
            format!("the working folder {} is no git worktree", path.display()),
            "give the pipeline `workspace: { git: PATH }`, or run it in a repository",
        )),
    }
}

/// The branch that is checked out, or a failure that says that there is none.
pub(super) async fn current_branch(git: &Git) -> Result<String, Failure> {
    branch_of(git).await.ok_or_else(|| {
        failed(
            FailureKind::Validation,
            "NO_BRANCH",
            "no branch is checked out in the working folder",
            "name the branch in `with`",
        )
    })
}

/// The commit that a branch to start from names, or any other reference.
pub(super) async fn commit_of_branch(git: &Git, base: &str) -> Result<String, Failure> {
    plain("reference", base)?;
    match commit_of(git, base).await.map_err(broken)? {
        Some(commit) => Ok(commit),
        None => commit_named(git, base).await,
    }
}

/// The commit that a reference names.
pub(super) async fn commit_named(git: &Git, reference: &str) -> Result<String, Failure> {
    plain("reference", reference)?;
    let spec = format!("{reference}^{{commit}}");
    git.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &spec]).await.map_err(|error| {
        match error {
            GitError::Failed { .. } => failed(
                FailureKind::Validation,
                "NO_COMMIT",
                format!("there is no commit {reference} in {}", git.folder.display()),
                "fetch it, or correct the name",
            ),
            other => broken(other),
        }
    })
}

/// Refuses what git would read as an option.
pub(super) fn plain(what: &str, reference: &str) -> Result<(), Failure> {
    if is_plain(reference) {
        return Ok(());
    }
    let message = format!("“{}” is no {what}", reference.escape_debug());
    Err(failed(FailureKind::Validation, "BAD_NAME", message, "correct `with` of the step"))
}

/// Refuses what is no name for a branch.
pub(super) async fn checked_branch(git: &Git, name: &str) -> Result<(), Failure> {
    plain("name for a branch", name)?;
    git.text(&["check-ref-format", "--branch", name]).await.map(|_| ()).map_err(|_| {
        let message = format!("“{name}” is no name for a branch");
        failed(FailureKind::Validation, "BAD_NAME", message, "`slug` makes one of any text")
    })
}

/// What the reflog of a reference says of its newest change, when this round's step made it.
pub(super) async fn made_by_us(git: &Git, reference: &str, key: &str) -> bool {
    let newest = git.text(&["log", "--walk-reflogs", "-1", "--format=%gs", reference, "--"]).await;
    newest.is_ok_and(|subject| subject.starts_with(&action(key)))
}

/// What a change of this round is called in reflogs.
pub(super) fn action(key: &str) -> String {
    format!("everfold {key}")
}
