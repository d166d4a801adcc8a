//! The declarations of the functions `git.*`: their parameters and outputs as JSON Schema.

use everfold_base::json::Value;
use serde_json::json;

use super::context::Context;
use super::{branch, commit, pull, push, ready};
use crate::function::{Function, Functions};

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
