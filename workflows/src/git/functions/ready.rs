//! `git.ready`.

use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::Value;
use serde::Deserialize;
use serde_json::json;

use super::failed;
use crate::function::Call;
use crate::git::repository::{branches, default_base};
use crate::git::{Git, GitError};
use crate::provider::{Remote, branch_of, is_plain};

/// What can be missing.
pub(super) const CODES: [&str; 6] =
    ["NO_GIT", "NO_REPOSITORY", "NO_COMMIT", "NO_DEFAULT_BRANCH", "NO_REMOTE", "NOT_CLEAN"];

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    base: Option<String>,
    #[serde(default)]
    remote: Value,
    #[serde(default = "yes")]
    clean: bool,
    #[serde(default)]
    require: bool,
}

fn yes() -> bool {
    true
}

/// Looks at a repository, and lists everything that is missing at once.
pub(super) async fn ready(call: Call, wanted: Parameters) -> Result<Value, Failure> {
    let folder = call.workdir().path.join(wanted.path.as_deref().unwrap_or_default());
    let git = Git::at(&folder);
    let shown = folder.display();
    let mut problems: Vec<(&str, String)> = Vec::new();
    let (mut sha, mut default, mut remote_url) = (None, None, None);
    match git.text(&["rev-parse", "--git-dir"]).await {
        Err(GitError::Missing) => problems.push(("NO_GIT", GitError::Missing.to_string())),
        Err(_) => problems.push(("NO_REPOSITORY", format!("{shown} is no git repository"))),
        Ok(_) => {
            sha = git.text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await.ok();
            if sha.is_none() {
                problems.push(("NO_COMMIT", format!("{shown} has no commit")));
            }
            match default_branch(&git, wanted.base.as_deref()).await {
                Ok(branch) => default = Some(branch),
                Err(_) if sha.is_none() => {}
                Err(reason) => problems.push(("NO_DEFAULT_BRANCH", reason)),
            }
            let name = wanted.remote.as_str().unwrap_or("origin");
            if wanted.remote != json!(false) {
                remote_url = if is_plain(name) { Remote::of(&folder, name).await } else { None };
                if remote_url.is_none() {
                    problems.push(("NO_REMOTE", format!("{shown} has no remote {name}")));
                }
            }
            if wanted.clean
                && let Some(dirty) = uncommitted(&git).await
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
    let listed: Vec<Value> =
        problems.iter().map(|(code, message)| json!({"code": code, "message": message})).collect();
    Ok(json!({
        "ok": problems.is_empty(),
        "reason": reason,
        "problems": listed,
        "branch": branch_of(&folder).await,
        "default_branch": default,
        "sha": sha,
        "remote": remote_url.map(|remote| remote.shown()),
    }))
}

async fn default_branch(git: &Git, wanted: Option<&str>) -> Result<String, String> {
    let Some(wanted) = wanted else {
        return default_base(git).await.map_err(|failure| failure.message);
    };
    let known = branches(git, "refs/heads").await.map_err(|error| error.to_string())?;
    match known.iter().any(|branch| branch == wanted) {
        true => Ok(wanted.to_owned()),
        false => Err(format!("{} has no branch {wanted}", git.folder.display())),
    }
}

/// Some of what is not committed.
async fn uncommitted(git: &Git) -> Option<String> {
    let status = git.text(&["status", "--porcelain", "-z", "--no-renames"]).await.ok()?;
    let names: Vec<&str> = status.split('\0').filter_map(|entry| entry.get(3..)).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        [first, more @ ..] => Some(format!("{first} and {} more", more.len())),
    }
}
