//! `cloudevents`: what speaks CloudEvents 1.0, with its attributes in headers (binary mode) or beside the data (structured
//! mode).
//!
//! Law: the data is the delivery's body in both modes, so a trigger need not know how an event was sent. An event is known
//! by its source and its id together.
//!
//! Formats: CloudEvents 1.0.2 with its HTTP protocol binding and its JSON format.

use everfold_base::json::Value;
use percent_encoding::percent_decode_str;
use serde_json::{Map, json};

use super::content::{DeliveryContent, Headers};

/// What a header's name begins with that holds an attribute.
const PREFIX: &str = "ce-";
/// Attributes that each event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// The data of an event in structured mode: JSON, or bytes in Base64.
const DATA: [&str; 2] = ["data", "data_base64"];

/// Reads an event, and leaves its data alone in the body.
///
/// # Errors
/// Why it is none, in words.
pub(super) fn read(headers: &Headers, body: &mut Value) -> Result<DeliveryContent, String> {
    let attributes = match mode(headers) {
        Mode::Batch => {
            return Err(
                "a batch of events cannot be taken: have the sender send them one at a time".to_owned()
            );
        }
        Mode::Binary => of_headers(headers),
        Mode::Structured => taken_out(body),
    };
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(missing) = REQUIRED.into_iter().find(|name| text(name).is_none()) {
        return Err(format!("the attribute `{missing}` is missing"));
    }
    if let Some(version) = text("specversion").filter(|version| version.split('.').next() != Some("1")) {
        return Err(format!("version {version} of CloudEvents is not known, 1.0 is"));
    }
    let id = text("id").zip(text("source")).map(|(id, source)| format!("{source}#{id}"));
    let (name, sender) = (text("type").map(str::to_owned), text("authid").map(str::to_owned));
    let about = [("attributes".to_owned(), Value::Object(attributes))].into_iter().collect();
    Ok(DeliveryContent { id, name, sender, about })
}

/// How an event was sent.
enum Mode {
    Binary,
    Structured,
    Batch,
}

/// The content type decides; one that a service sets for all its webhooks says nothing of events.
fn mode(headers: &Headers) -> Mode {
    let kind = headers.get("content-type").map(|kind| kind.trim().to_ascii_lowercase()).unwrap_or_default();
    match kind {
        kind if kind.starts_with("application/cloudevents-batch") => Mode::Batch,
        kind if kind.starts_with("application/cloudevents") => Mode::Structured,
        _other if headers.contains_key("ce-specversion") => Mode::Binary,
        _other => Mode::Structured,
    }
}

fn of_headers(headers: &Headers) -> Map<String, Value> {
    let named = headers.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    let mut attributes: Map<String, Value> = named
        .map(|(name, value)| (name.to_owned(), json!(percent_decode_str(value).decode_utf8_lossy())))
        .collect();
    if let Some(kind) = headers.get("content-type") {
        attributes.insert("datacontenttype".to_owned(), json!(kind));
    }
    attributes
}

/// The attributes of an event that is JSON; its data becomes the body.
fn taken_out(body: &mut Value) -> Map<String, Value> {
    let Value::Object(mut attributes) = body.take() else { return Map::new() };
    let [data, bytes] = DATA.map(|name| attributes.remove(name));
    *body = match (data, bytes) {
        (Some(data), _) => data,
        (None, Some(bytes)) => json!({ "data_base64": bytes }),
        (None, None) => Value::Null,
    };
    attributes
}
