//! The functions `git.*`: what a pipeline does to its repository and at the service that hosts it.
//!
//! Law: each may be called again after a crash, at any point, and comes to the same end with the same
//! output: it looks at what is there first, and what it finds done is done. Names from others are given
//! to git as references, never as options; tokens reach it by its environment.

mod branch;
mod commit;
mod pull;
mod push;
mod ready;

pub(super) use push::authorised;

use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::Value;
use serde_json::json;

use super::repository::commit_of;
use super::{Git, GitError};
use crate::function::{Call, Function, Functions};
use crate::provider::{Providers, branch_of, is_plain};

/// What the functions share.
#[derive(Clone)]
pub(crate) struct Context {
    /// Services that host repositories.
    pub(crate) providers: Providers,
    /// Who commits, `NAME <EMAIL>`, where the pipeline names none.
    pub(crate) author: String,
}

/// Adds the functions `git.*`.
pub(crate) fn declare(functions: &mut Functions, context: &Context) {
    functions.offer(
        Function::described(
            "git.branch",
            parameters(
                json!({
                    "name": {"type": "string", "minLength": 1, "description": "the branch"},
                    "base": {"type": "string", "minLength": 1, "description": "where a new one starts; default: the commit that is checked out"},
                    "checkout": {"type": "boolean", "default": true},
                }),
                &["name"],
            ),
            object(json!({"branch": TEXT.clone(), "sha": TEXT.clone(), "created": {"type": "boolean", "description": "this step made it"}})),
            branch::branch,
        )
        .summary("Makes a branch where there is none, and checks it out in the working folder.")
        .idempotent(),
    );
    let own = context.clone();
    functions.offer(
        Function::described(
            "git.commit",
            parameters(
                json!({
                    "message": {"type": "string", "minLength": 1},
                    "paths": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "description": "only these; default: everything"},
                    "author": {"type": "string", "pattern": "<.+>", "description": "NAME <EMAIL>; default: the workspace's, else the settings'"},
                    "verify": {"type": "boolean", "default": false, "description": "run the repository's hooks"},
                }),
                &["message"],
            ),
            object(json!({
                "committed": {"type": "boolean", "description": "this step made the commit; false: there was nothing to commit"},
                "sha": TEXT.clone(), "branch": NULLABLE.clone(), "files": {"type": "array", "items": {"type": "string"}},
            })),
            move |call, wanted| commit::commit(own.clone(), call, wanted),
        )
        .summary("Commits what is changed in the working folder.")
        .idempotent(),
    );
    let own = context.clone();
    functions.offer(
        Function::described(
            "git.push",
            parameters(
                json!({
                    "branch": {"type": "string", "minLength": 1, "description": "default: the branch that is checked out"},
                    "sha": {"type": "string", "minLength": 1, "description": "default: the commit that is checked out"},
                    "remote": {"type": "string", "minLength": 1, "default": "origin"},
                    "force": {"type": "string", "enum": ["never", "lease"], "default": "never", "description": "lease: over a branch that is as it was when this repository saw it last before the round's first attempt"},
                }),
                &[],
            ),
            object(json!({"branch": TEXT.clone(), "sha": TEXT.clone(), "remote": TEXT.clone()})),
            move |call, wanted| push::push(own.clone(), call, wanted),
        )
        .summary("Pushes a commit to a branch of a remote; never over the work of others.")
        .idempotent(),
    );
    let own = context.clone();
    let provider = json!({"type": "string", "description": "default: the one that `origin` lies at"});
    let repository =
        json!({"type": "string", "description": "OWNER/NAME; default: the provider's, else of `origin`"});
    let number = json!({"type": ["integer", "string"], "description": "number, address, or branch; default: the branch that is checked out"});
    functions.offer(
        Function::described(
            "git.open_pr",
            parameters(
                json!({
                    "title": {"type": "string", "minLength": 1},
                    "body": {"type": "string", "default": ""},
                    "head": {"type": "string", "minLength": 1, "description": "default: the branch that is checked out"},
                    "base": {"type": "string", "minLength": 1, "description": "default: the repository's default branch"},
                    "draft": {"type": "boolean", "default": false},
                    "provider": provider.clone(), "repository": repository.clone(),
                }),
                &["title"],
            ),
            pull_output(),
            move |call, wanted| pull::open(own.clone(), call, wanted),
        )
        .summary("Opens a pull request of a branch, or finds the one that is open.")
        .idempotent(),
    );
    let own = context.clone();
    functions.offer(
        Function::described(
            "git.merge_pr",
            parameters(
                json!({
                    "pr": number,
                    "method": {"type": "string", "enum": ["merge", "squash", "rebase"], "default": "merge"},
                    "sha": {"type": "string", "description": "merge only if this is still its newest commit"},
                    "title": {"type": "string"}, "message": {"type": "string"},
                    "delete_branch": {"type": "boolean", "default": false},
                    "provider": provider, "repository": repository,
                }),
                &[],
            ),
            pull_output(),
            move |call, wanted| pull::merge(own.clone(), call, wanted),
        )
        .summary("Merges a pull request; one that is merged already is done.")
        .idempotent(),
    );
    functions.offer(
        Function::described(
            "git.ready",
            parameters(
                json!({
                    "path": {"type": "string", "minLength": 1, "description": "the repository; default: the working folder"},
                    "base": {"type": "string", "minLength": 1, "description": "the branch that must be there; default: the default branch"},
                    "remote": {"type": ["string", "boolean"], "default": "origin", "description": "the remote that must be there; false: none"},
                    "clean": {"type": "boolean", "default": true, "description": "nothing may be uncommitted"},
                    "require": {"type": "boolean", "default": false, "description": "fail with code REPO_NOT_READY where it is not"},
                }),
                &[],
            ),
            object(json!({
                "ok": {"type": "boolean"}, "reason": TEXT.clone(),
                "problems": {"type": "array", "items": {"type": "object", "properties": {"code": {"enum": ready::CODES}, "message": {"type": "string"}}}},
                "branch": NULLABLE.clone(), "default_branch": NULLABLE.clone(), "sha": NULLABLE.clone(), "remote": NULLABLE.clone(),
            })),
            ready::ready,
        )
        .summary("Looks whether a repository is ready to be worked on; changes nothing.")
        .read_only(),
    );
}

static TEXT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!({"type": "string"}));
static NULLABLE: std::sync::LazyLock<Value> =
    std::sync::LazyLock::new(|| json!({"type": ["string", "null"]}));

fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn pull_output() -> Value {
    object(json!({
        "number": {"type": "integer"}, "url": TEXT.clone(), "title": TEXT.clone(),
        "state": {"enum": ["open", "closed", "merged"]},
        "head": TEXT.clone(), "base": TEXT.clone(), "sha": TEXT.clone(), "draft": {"type": "boolean"},
        "mergeable": {"type": ["boolean", "null"]}, "mergeable_state": NULLABLE.clone(),
        "merge_sha": NULLABLE.clone(), "provider": TEXT.clone(), "repository": TEXT.clone(),
    }))
}

/// The schema of parameters.
fn parameters(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// A failure with a code.
fn failed(kind: FailureKind, code: &str, message: impl Into<String>, hint: &str) -> Failure {
    let mut failure = Failure::new(kind, message).with_hint(hint);
    failure.code = Some(code.to_owned());
    failure
}

/// The failure of a call of git that nothing better is known of.
fn broken(error: GitError) -> Failure {
    let failure = super::repository::unable(&error);
    if matches!(error, GitError::Gone { .. }) {
        return failure;
    }
    let kind = if matches!(error, GitError::Failed { .. }) { FailureKind::Error } else { failure.kind };
    Failure { kind, code: Some("GIT_FAILED".to_owned()), ..failure }
}

/// The working folder, if it lies in a repository.
async fn worktree(call: &Call) -> Result<Git, Failure> {
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
async fn current_branch(git: &Git) -> Result<String, Failure> {
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
async fn commit_of_branch(git: &Git, base: &str) -> Result<String, Failure> {
    plain("reference", base)?;
    match commit_of(git, base).await.map_err(broken)? {
        Some(commit) => Ok(commit),
        None => commit_named(git, base).await,
    }
}

/// The commit that a reference names.
async fn commit_named(git: &Git, reference: &str) -> Result<String, Failure> {
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
fn plain(what: &str, reference: &str) -> Result<(), Failure> {
    if is_plain(reference) {
        return Ok(());
    }
    let message = format!("“{}” is no {what}", reference.escape_debug());
    Err(failed(FailureKind::Validation, "BAD_NAME", message, "correct `with` of the step"))
}

/// Refuses what is no name for a branch.
async fn checked_branch(git: &Git, name: &str) -> Result<(), Failure> {
    plain("name for a branch", name)?;
    git.text(&["check-ref-format", "--branch", name]).await.map(|_| ()).map_err(|_| {
        let message = format!("“{name}” is no name for a branch");
        failed(FailureKind::Validation, "BAD_NAME", message, "`slug` makes one of any text")
    })
}

/// What the reflog of a reference says of its newest change, when this round's step made it.
async fn made_by_us(git: &Git, reference: &str, key: &str) -> bool {
    let newest = git.text(&["log", "--walk-reflogs", "-1", "--format=%gs", reference, "--"]).await;
    newest.is_ok_and(|subject| subject.starts_with(&action(key)))
}

/// What a change of this round is called in reflogs.
fn action(key: &str) -> String {
    format!("everfold {key}")
}
