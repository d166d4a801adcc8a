//! `github`: GitHub and GitHub Enterprise Server.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, header, text};
use super::gitea;

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    DeliveryContent {
        id: header(headers, &["x-github-delivery"]),
        name: header(headers, &["x-github-event"]),
        sender: text(body, "sender.login"),
        about: gitea::forge(body),
    }
}
