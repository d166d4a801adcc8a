//! `git.free_branch`: a name for a branch that neither the repository nor its remote nor another step has.
//!
//! Law: the engine gives and records the name, as it does for `everfold.unique`; a repeat of the step, also after a crash
//! and after the branch was made, gets the same one. Nothing is written to the repository but what `fetch` brings.

use std::collections::BTreeSet;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Hash, Value};
use everfold_core::unique_names::{NAME_BYTES_MAX, OTHERS_MAX, WantedName, WhenTaken};
use everfold_ports::{NameFailure, NameRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::failures::{broken, failed};
use super::references::{checked_branch, plain, worktree};
use crate::function::Call;
use crate::git::authorise::authorised;
use crate::git::{Git, GitError};
use crate::provider::Remote;

/// How often a fetch is tried.
const FETCH_TRIES: u32 = 4;
const FETCH_PAUSE: Duration = Duration::from_millis(300);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct FreeBranchParameters {
    /// the branch that is wanted
    #[schemars(length(min = 1))]
    name: String,
    /// names that are tried next where it is taken
    #[serde(default)]
    or: Vec<String>,
    /// the repository; default: the working folder
    #[serde(default)]
    #[schemars(length(min = 1))]
    path: Option<String>,
    /// the remote whose branches count, too; false: none
    // A list of types is not derived from alternatives.
    #[serde(default = "origin")]
    #[schemars(extend("type" = ["string", "boolean"]))]
    remote: Value,
    /// the remote's branches are fetched first, so that what begins at one of them begins at its newest commit
    #[serde(default)]
    fetch: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FreeBranchOutput {
    branch: String,
    /// It is another one than was wanted.
    changed: bool,
}

fn origin() -> Value {
    "origin".into()
}

/// Gives the first of the names that is free, else the first one counted up.
pub(super) async fn free_branch(
    context: Context,
    call: Call,
    wanted: FreeBranchParameters,
) -> Result<FreeBranchOutput, Failure> {
    let git = match &wanted.path {
        Some(path) => repository(Git::at(&call.folder().join(path))).await?,
        None => worktree(&call).await?,
    };
    let wishes = wishes(&git, &call, &wanted).await?;
    let remote = remote_of(&git, &wanted.remote).await?;
    let scope = scope(&git, remote.as_ref()).await?;
    let mut used = here(&git, &wishes).await?;
    if let Some(remote) = remote {
        let name = wanted.remote.as_str().unwrap_or_default();
        let token = context.providers.token_for(&remote)?;
        let git = authorised(git, token, &remote);
        if wanted.fetch {
            fetch(&git, name, &remote).await?;
        }
        used.extend(there(&git, name, &remote, &wishes).await?);
    }
    let wish = WantedName {
        name: wanted.name.clone(),
        wish: None,
        others: wanted.or,
        used,
        when_taken: WhenTaken::Suffix,
        is_path: true,
    };
    let given = call.unique_name(NameRequest { scope, wanted: wish }).await;
    let branch = given.map_err(|error| not_given(&error, &wanted.name))?;
    Ok(FreeBranchOutput { changed: branch != wanted.name, branch })
}

/// The names that are wanted, if branches may be called so.
async fn wishes(git: &Git, call: &Call, wanted: &FreeBranchParameters) -> Result<Vec<String>, Failure> {
    let bad = |message: String| failed(FailureKind::Validation, "BAD_NAME", message, "correct `with`");
    if wanted.or.len() > OTHERS_MAX {
        return Err(bad(format!("`with.or` holds {} names, and may hold {OTHERS_MAX}", wanted.or.len())));
    }
    let wishes: Vec<String> = std::iter::once(&wanted.name).chain(&wanted.or).cloned().collect();
    for wish in &wishes {
        if wish.len() > NAME_BYTES_MAX {
            return Err(bad(format!("a branch has at most {NAME_BYTES_MAX} bytes here, not {}", wish.len())));
        }
        if call.holds_secret(wish) {
            return Err(bad("a name of a branch holds a secret, and names are recorded".to_owned()));
        }
        checked_branch(git, wish).await?;
    }
    Ok(wishes)
}

async fn repository(git: Git) -> Result<Git, Failure> {
    if git.folder.is_dir() && git.text(&["rev-parse", "--git-dir"]).await.is_ok() {
        return Ok(git);
    }
    let message = format!("{} is no git repository", git.folder.display());
    Err(failed(FailureKind::Spawn, "NO_REPOSITORY", message, "correct `with.path`"))
}

/// The remote whose branches count; `None`: it is not wanted, or the repository has none of that name.
async fn remote_of(git: &Git, wanted: &Value) -> Result<Option<Remote>, Failure> {
    let Some(name) = wanted.as_str() else { return Ok(None) };
    plain("name of a remote", name)?;
    Remote::of(git, name).await.map_err(broken)
}

/// One scope per repository: that of its remote, so that a clone made anew goes on with it; without one that of the
/// folder that all its worktrees share.
async fn scope(git: &Git, remote: Option<&Remote>) -> Result<String, Failure> {
    let place = match remote {
        Some(remote) => remote.shown(),
        None => {
            let shared = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
            git.text(&shared).await.map_err(broken)?
        }
    };
    Ok(format!("git.branches/{}", &Hash::of(place.as_bytes()).to_string()[..32]))
}

/// The branches of the repository, whichever worktree has them checked out, that stand in the way of a wish.
async fn here(git: &Git, wishes: &[String]) -> Result<BTreeSet<String>, Failure> {
    let listed = git.text(&["for-each-ref", "--format=%(refname)", "refs/heads"]).await.map_err(broken)?;
    Ok(in_the_way(listed.lines(), wishes))
}

/// Brings the remote's branches. Two that fetch at once stop one another at a branch, so the loser does it again.
async fn fetch(git: &Git, name: &str, remote: &Remote) -> Result<(), Failure> {
    let mut tries_left = FETCH_TRIES;
    loop {
        tries_left -= 1;
        match git.text(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", name]).await {
            Ok(_) => return Ok(()),
            Err(GitError::Failed { .. }) if tries_left > 0 => tokio::time::sleep(FETCH_PAUSE).await,
            Err(error) => return Err(unreachable(error, remote)),
        }
    }
}

fn unreachable(error: GitError, remote: &Remote) -> Failure {
    match error {
        GitError::Failed { message, .. } => failed(
            FailureKind::Error,
            "UNREACHABLE",
            format!("{} does not tell its branches: {message}", remote.shown()),
            "`retry` in the step makes the engine try again by itself; a refusal needs the provider's `token`",
        ),
        other => broken(other),
    }
}

/// The branches of the remote that do.
async fn there(
    git: &Git,
    name: &str,
    remote: &Remote,
    wishes: &[String],
) -> Result<BTreeSet<String>, Failure> {
    let listed = git.text(&["ls-remote", "--quiet", "--heads", "--", name]).await;
    let listed = listed.map_err(|error| unreachable(error, remote))?;
    Ok(in_the_way(listed.lines().filter_map(|line| line.split_whitespace().nth(1)), wishes))
}

/// Of the branches that there are those that a wish, or one that is counted up from the first, could meet.
fn in_the_way<'a>(references: impl Iterator<Item = &'a str>, wishes: &[String]) -> BTreeSet<String> {
    let counted = wishes.first().map(|first| format!("{first}-")).unwrap_or_default();
    let is_below = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let meets = |branch: &str| {
        branch.starts_with(&counted)
            || wishes.iter().any(|wish| is_below(branch, wish) || is_below(wish, branch))
    };
    let branches = references.filter_map(|reference| reference.strip_prefix("refs/heads/"));
    branches.filter(|branch| meets(branch)).map(str::to_owned).collect()
}

fn not_given(error: &NameFailure, name: &str) -> Failure {
    match error {
        NameFailure::Full(_) | NameFailure::NoneFree => failed(
            FailureKind::Conflict,
            "NO_FREE_BRANCH",
            format!("no branch can be called {name}, nor as the others that were wanted: {error}"),
            "a branch may stand where a folder of the name would be; want another name",
        ),
        NameFailure::Store(_) | NameFailure::NoStep => Failure::new(FailureKind::Error, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o114_only_branches_that_a_wish_could_meet_are_in_the_way() {
        let wishes = ["feature/ET-1".to_owned(), "feature/ET-1-abc".to_owned()];
        let all = [
            "refs/heads/feature",
            "refs/heads/feature/ET-1",
            "refs/heads/feature/ET-1/x",
            "refs/heads/feature/ET-1-2",
            "refs/heads/feature/ET-10",
            "refs/heads/main",
            "refs/tags/feature/ET-1",
            "refs/heads/feat",
        ];
        let met: Vec<String> = in_the_way(all.into_iter(), &wishes).into_iter().collect();
        assert_eq!(met, ["feature", "feature/ET-1", "feature/ET-1-2", "feature/ET-1/x"]);
    }
}
