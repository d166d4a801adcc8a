//! `git.ready`.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::failures::{broken, failed};
use crate::function::Call;
use crate::git::repository::{branch_of, is_plain};
use crate::git::repository::{default_base, is_branch};
use crate::git::{Git, GitError};
use crate::provider::Remote;

/// What can be missing.
const CODES: [&str; 7] =
    ["NO_GIT", "NO_REPOSITORY", "NOT_READABLE", "NO_COMMIT", "NO_DEFAULT_BRANCH", "NO_REMOTE", "NOT_CLEAN"];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadyParameters {
    /// the repository; default: the working folder
    #[serde(default)]
    #[schemars(length(min = 1))]
    path: Option<String>,
    /// the branch that must be there; default: the default branch
    #[serde(default)]
    #[schemars(length(min = 1))]
    base: Option<String>,
    /// the remote that must be there; false: none
    // A list of types is not derived from alternatives.
    #[serde(default = "origin")]
    #[schemars(extend("type" = ["string", "boolean"]))]
    remote: Value,
    /// nothing may be uncommitted
    #[serde(default = "yes")]
    clean: bool,
    /// fail with code REPO_NOT_READY where it is not
    #[serde(default)]
    require: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReadyOutput {
    ok: bool,
    reason: String,
    problems: Vec<RepositoryProblem>,
    branch: Option<String>,
    default_branch: Option<String>,
    sha: Option<String>,
    remote: Option<String>,
}

/// Both are always there, which the schema does not say.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "", transform = without_required)]
struct RepositoryProblem {
    /// One of [`CODES`].
    #[schemars(with = "Value", description = "", extend("enum" = CODES))]
    code: &'static str,
    message: String,
}

fn without_required(schema: &mut Schema) {
    schema.remove("required");
}

fn origin() -> Value {
    "origin".into()
}

fn yes() -> bool {
    true
}

/// Looks at a repository, and lists everything that is missing at once.
pub(super) async fn ready(call: Call, wanted: ReadyParameters) -> Result<ReadyOutput, Failure> {
    let git = match &wanted.path {
        Some(path) => Git::at(&call.workdir().path.join(path)),
        None => Git::within(call.workdir()).map_err(broken)?,
    };
    let shown = git.folder.display().to_string();
    let mut problems: Vec<(&'static str, String)> = Vec::new();
    let (mut sha, mut default, mut remote_url) = (None, None, None);
    match looked(&git).await? {
        Some(problem) => problems.push(problem),
        None => {
            sha = known(git.text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await)?;
            if sha.is_none() {
                problems.push(("NO_COMMIT", format!("{shown} has no commit")));
            }
            match default_branch(&git, wanted.base.as_deref()).await? {
                Ok(branch) => default = Some(branch),
                Err(_) if sha.is_none() => {}
                Err(reason) => problems.push(("NO_DEFAULT_BRANCH", reason)),
            }
            let name = wanted.remote.as_str().unwrap_or("origin");
            if wanted.remote != Value::Bool(false) {
                remote_url =
                    if is_plain(name) { Remote::of(&git, name).await.map_err(broken)? } else { None };
                if remote_url.is_none() {
                    problems.push(("NO_REMOTE", format!("{shown} has no remote {name}")));
                }
            }
            if wanted.clean
                && let Some(dirty) = uncommitted(&git).await?
            {
                problems.push(("NOT_CLEAN", format!("{shown} has uncommitted changes: {dirty}")));
            }
        }
    }
    let reason = match problems.as_slice() {
        [] => "the repository is ready".to_owned(),
        some => some.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("; "),
    };
    if wanted.require && !problems.is_empty() {
        let message = format!("The repository is not ready: {reason}. Fix it, then retry.");
        let hint = "`git init`, a first commit and `git remote add origin URL` make one ready";
        return Err(failed(FailureKind::Validation, "REPO_NOT_READY", message, hint)
            .with_detail(problems.iter().map(|(code, _)| *code).collect::<Vec<_>>().join(", ")));
    }
    Ok(ReadyOutput {
        ok: problems.is_empty(),
        reason,
        problems: problems.into_iter().map(|(code, message)| RepositoryProblem { code, message }).collect(),
        branch: branch_of(&git).await,
        default_branch: default,
        sha,
        remote: remote_url.map(|remote| remote.shown()),
    })
}

/// What keeps git from looking at all. A git that cannot be asked says nothing of the repository.
async fn looked(git: &Git) -> Result<Option<(&'static str, String)>, Failure> {
    let shown = git.folder.display();
    if !git.folder.is_dir() {
        return Ok(Some(("NO_REPOSITORY", format!("{shown} does not exist"))));
    }
    match git.text(&["rev-parse", "--git-dir"]).await {
        Ok(_) => Ok(None),
        Err(GitError::Missing) => Ok(Some(("NO_GIT", GitError::Missing.to_string()))),
        Err(GitError::Failed { message, .. }) if message.contains("not a git repository") => {
            Ok(Some(("NO_REPOSITORY", format!("{shown} is no git repository"))))
        }
        Err(GitError::Failed { message, .. }) => {
            Ok(Some(("NOT_READABLE", format!("git does not read {shown}: {message}"))))
        }
        Err(error) => Err(broken(error)),
    }
}

/// `None` where git says no; where it could not be asked, nothing is known.
fn known(answer: Result<String, GitError>) -> Result<Option<String>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

async fn default_branch(git: &Git, wanted: Option<&str>) -> Result<Result<String, String>, Failure> {
    let Some(wanted) = wanted else {
        return Ok(default_base(git).await.map_err(|failure| failure.message));
    };
    Ok(match is_branch(git, wanted).await.map_err(broken)? {
        true => Ok(wanted.to_owned()),
        false => Err(format!("{} has no branch {wanted}", git.folder.display())),
    })
}

/// Some of what is not committed.
async fn uncommitted(git: &Git) -> Result<Option<String>, Failure> {
    const NAMES_BYTES_MAX: u64 = 64 * 1024;
    let asked = ["status", "--porcelain", "-z", "--no-renames"];
    let (status, is_all) = git.beginning(&asked, NAMES_BYTES_MAX).await.map_err(broken)?;
    let status = String::from_utf8_lossy(&status);
    let names: Vec<&str> = status.split('\0').filter_map(|entry| entry.get(3..)).collect();
    Ok(match names.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        [first, more @ ..] if is_all => Some(format!("{first} and {} more", more.len())),
        [first, more @ ..] => Some(format!("{first} and more than {}", more.len() - 1)),
    })
}
