//! `cloudevents`: what speaks CloudEvents 1.0, with its attributes in headers (binary mode) or beside the data (structured
//! mode).
//!
//! Law: the data is the delivery's body in both modes, so a trigger need not know how an event was sent. An event is known
//! by its source and its id together. Who is behind it is believed where it is signed with the data: in structured mode. No
//! attribute is kept whose name says of a secret.
//!
//! Formats: CloudEvents 1.0.2 with its HTTP protocol binding and its JSON format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everfold_base::json::Value;
use percent_encoding::percent_decode_str;
use serde_json::{Map, json};

use super::content::{DeliveryContent, Headers, is_secret};

/// What a header's name begins with that holds an attribute.
const PREFIX: &str = "ce-";
/// Attributes that each event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// The data of an event in structured mode: JSON, or bytes in Base64.
const DATA: [&str; 2] = ["data", "data_base64"];
/// Who is behind an event, and as what: named like secrets, and none.
const PERSON: [&str; 2] = ["authid", "authtype"];
const BATCH: &str = "a batch of events cannot be taken: have the sender send them one at a time";

/// Reads an event, and leaves its data alone in the body.
///
/// # Errors
/// Why it is none, in words.
pub(super) fn read(headers: &Headers, body: &mut Value) -> Result<DeliveryContent, String> {
    let (mut attributes, is_signed) = match mode(headers) {
        Mode::Batch => return Err(BATCH.to_owned()),
        Mode::Structured if body.is_array() => return Err(BATCH.to_owned()),
        Mode::Binary => (of_headers(headers), false),
        Mode::Structured => (taken_out(body), true),
    };
    attributes.retain(|name, _| PERSON.contains(&name.as_str()) || !is_secret(name));
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(missing) = REQUIRED.into_iter().find(|name| text(name).is_none()) {
        return Err(format!("the attribute `{missing}` is missing, or no text"));
    }
    if let Some(version) = text("specversion").filter(|version| version.split('.').next() != Some("1")) {
        return Err(format!("version {version} of CloudEvents is not known, 1.0 is"));
    }
    // The first `#` is where the source ends.
    let whole = |source: &str| source.replace('%', "%25").replace('#', "%23");
    let id = text("id").zip(text("source")).map(|(id, source)| format!("{}#{id}", whole(source)));
    let name = text("type").map(str::to_owned);
    let sender = text("authid").filter(|_| is_signed).map(str::to_owned);
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
        .map(|(name, value)| {
            (name.to_owned(), json!(percent_decode_str(&unquoted(value)).decode_utf8_lossy()))
        })
        .collect();
    if let Some(kind) = headers.get("content-type") {
        attributes.insert("datacontenttype".to_owned(), json!(kind));
    }
    attributes
}

/// A value of a header without the quotes that a sender may put around it.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut chars = quoted.chars();
    std::iter::from_fn(|| match chars.next()? {
        '\\' => chars.next(),
        plain => Some(plain),
    })
    .collect()
}

/// Whether the data is no JSON by its type, in binary mode.
pub(super) fn is_bytes(headers: &Headers) -> bool {
    let kind = headers.get("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let is_json = |kind: &str| {
        let kind = kind.to_ascii_lowercase();
        kind.is_empty() || kind.ends_with("/json") || kind.ends_with("+json")
    };
    matches!(mode(headers), Mode::Binary) && kind.is_some_and(|kind| !is_json(kind))
}

/// Data that is no JSON.
pub(super) fn bytes(raw: &[u8]) -> Value {
    json!({ "data_base64": BASE64.encode(raw) })
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
