//! `gitea`: Gitea and Forgejo, which say the same under two names.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, about, branch, first, header, text};

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    let name = header(headers, &["x-gitea-event", "x-forgejo-event", "x-gogs-event"]);
    DeliveryContent {
        id: header(headers, &["x-gitea-delivery", "x-forgejo-delivery", "x-gogs-delivery"]),
        name,
        sender: first(body, &["sender.login", "pusher.login", "sender.username"]),
        about: forge(body),
    }
}

/// What Gitea and GitHub call the same.
pub(super) fn forge(body: &Value) -> serde_json::Map<String, Value> {
    let of_branch = branch(first(body, &["pull_request.head.ref", "workflow_run.head_branch", "ref"]));
    about([
        ("action", text(body, "action")),
        ("repository", text(body, "repository.full_name")),
        ("branch", of_branch),
        (
            "commit",
            first(
                body,
                &[
                    "pull_request.head.sha",
                    "workflow_run.head_sha",
                    "check_suite.head_sha",
                    "check_run.head_sha",
                    "after",
                    "sha",
                ],
            ),
        ),
        ("number", first(body, &["pull_request.number", "issue.number", "number"])),
        ("title", first(body, &["pull_request.title", "issue.title"])),
    ])
}
