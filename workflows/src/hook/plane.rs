//! `plane`: Plane, whose bodies are `{event, action, data, activity}`.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, about, first, header, text};

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    DeliveryContent {
        id: header(headers, &["x-plane-delivery"]),
        name: header(headers, &["x-plane-event"]).or_else(|| text(body, "event")),
        sender: first(body, &["activity.actor.display_name", "activity.actor.id"]),
        about: about([
            ("action", text(body, "action")),
            ("repository", None),
            ("number", text(body, "data.sequence_id")),
            ("title", first(body, &["data.name"])),
            ("project", text(body, "data.project")),
            ("state", first(body, &["data.state.name", "data.state"])),
            ("field", text(body, "activity.field")),
        ]),
    }
}
