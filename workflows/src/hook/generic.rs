//! `generic`: any service that posts JSON. The settings say where the id, the kind of event and the sender
//! stand.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, first, header};

/// `X-Request-Id` is none of them: proxies, and the server itself, give each request another.
const IDS: [&str; 4] = ["x-delivery-id", "webhook-id", "everfold-notice", "idempotency-key"];

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    DeliveryContent {
        id: header(headers, &IDS),
        name: header(headers, &["x-event", "x-event-type"]).or_else(|| first(body, &["event", "type"])),
        sender: first(body, &["sender.login", "sender", "user.name", "actor"]),
        about: serde_json::Map::new(),
    }
}
