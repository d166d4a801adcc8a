//! `generic`: any service that posts JSON. The settings say where the id, the kind of event and the sender
//! stand.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, first, header};

const IDS: [&str; 5] = ["x-delivery-id", "webhook-id", "everfold-notice", "idempotency-key", "x-request-id"];

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    DeliveryContent {
        id: header(headers, &IDS),
        name: header(headers, &["x-event", "x-event-type"]).or_else(|| first(body, &["event", "type"])),
        sender: first(body, &["sender.login", "sender", "user.name", "actor"]),
        about: serde_json::Map::new(),
    }
}
