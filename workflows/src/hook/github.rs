//! `github`: GitHub and GitHub Enterprise Server.

use everfold_engine::json::Value;

use super::{Found, Headers, gitea, header, text};

pub(super) fn read(headers: &Headers, body: &Value) -> Found {
    Found {
        id: header(headers, &["x-github-delivery"]),
        name: header(headers, &["x-github-event"]),
        sender: text(body, "sender.login"),
        about: gitea::forge(body),
    }
}
