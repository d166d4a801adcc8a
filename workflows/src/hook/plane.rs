//! `plane`: Plane, whose bodies are `{event, action, data, activity}`.
//!
//! Law: an issue that was changed may be told of in part: what is not there is left out, never guessed.

use everfold_base::json::Value;

use super::content::{DeliveryContent, Headers, about, first, header, text};
use crate::plane::text::{text_of_both, without_controls};

/// The longest description; the body has the whole.
const DESCRIPTION_CHARS_MAX: usize = 20_000;

pub(super) fn read(headers: &Headers, body: &Value) -> DeliveryContent {
    let name = header(headers, &["x-plane-event"]).or_else(|| text(body, "event"));
    let issue = issue(name.as_deref().unwrap_or_default(), body);
    DeliveryContent {
        id: header(headers, &["x-plane-delivery"]),
        name,
        sender: first(body, &["activity.actor.display_name", "activity.actor.id"]),
        about: about([
            ("action", text(body, "action")),
            ("repository", None),
            ("number", text(body, "data.sequence_id")),
            ("title", first(body, &["data.name"]).map(|title| without_controls(&title))),
            ("description", description(body)),
            ("project", first(body, &["data.project.id", "data.project", "data.project_id"])),
            ("issue", issue),
            ("state", first(body, &["data.state.name", "data.state", "data.state.id"])),
            ("state_id", first(body, &["data.state.id", "data.state", "data.state_id"])),
            ("field", text(body, "activity.field")),
            ("sender_id", text(body, "activity.actor.id")),
        ]),
    }
}

/// The id of the issue that a delivery is about: its own, or that of what belongs to it.
fn issue(name: &str, body: &Value) -> Option<String> {
    let is_issue = matches!(name.split_once('.').map_or(name, |(what, _)| what), "issue" | "work_item");
    match is_issue {
        true => text(body, "data.id"),
        false => first(body, &["data.issue.id", "data.issue", "data.issue_id"]),
    }
}

/// The description as text: Plane's own, else that of its HTML.
fn description(body: &Value) -> Option<String> {
    let [stripped, html] =
        ["data.description_stripped", "data.description_html"].map(|path| text(body, path));
    let found = text_of_both(stripped.as_deref(), html.as_deref());
    let cut = |text: String| match text.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        None => text,
        Some((end, _)) => text[..end].to_owned(),
    };
    found.map(|text| without_controls(&text)).filter(|text| !text.is_empty()).map(cut)
}
