//! `gitlab`: GitLab, whose events are called `Push Hook` and say `push` in the body.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, about, branch, first, header, text};

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    let kind = text(body, "object_kind");
    let of_branch = branch(first(body, &["object_attributes.source_branch", "object_attributes.ref", "ref"]));
    DeliveryContent {
        // The key is the same for each try of one delivery; the UUID is that of the event.
        id: header(headers, &["idempotency-key", "x-gitlab-event-uuid"]),
        name: kind.or_else(|| header(headers, &["x-gitlab-event"])),
        sender: first(body, &["user.username", "user_username"]),
        about: about([
            ("action", text(body, "object_attributes.action")),
            ("repository", text(body, "project.path_with_namespace")),
            ("branch", of_branch),
            (
                "commit",
                first(
                    body,
                    &[
                        "object_attributes.last_commit.id",
                        "object_attributes.sha",
                        "checkout_sha",
                        "sha",
                        "after",
                    ],
                ),
            ),
            ("number", text(body, "object_attributes.iid")),
            ("title", text(body, "object_attributes.title")),
        ]),
    }
}
