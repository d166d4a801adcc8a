//! `cloudevents`: what speaks CloudEvents 1.0, with its attributes in headers (binary mode) or beside the data (structured
//! mode).
//!
//! Law: the data is the delivery's body in both modes, so a trigger need not know how an event was sent. An event is known
//! by its source and its id together. Who is behind it is believed where it is signed with the data: in structured mode. No
//! attribute is kept whose name says of a secret. What the formats forbid is refused with the attribute named, so that its
//! sender is mended, and no trigger sees half an event.
//!
//! Formats: CloudEvents 1.0.2 with its HTTP protocol binding and its JSON format.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everfold_base::json::Value;
use jiff::Timestamp;
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
        Mode::Binary => (of_headers(headers)?, false),
        Mode::Structured => (taken_out(body)?, true),
    };
    for (name, value) in &attributes {
        allowed(name, value)?;
    }
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

/// Whether an attribute may be called so and have such a value.
fn allowed(name: &str, value: &Value) -> Result<(), String> {
    let is_name = |name: &str| name.bytes().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit());
    if name.is_empty() || !is_name(name) {
        return Err(format!("the attribute `{name}`: names are lower-case letters a-z and digits"));
    }
    match value {
        Value::String(text) if name == "time" && !is_time(text) => {
            Err(format!("the attribute `time`: “{text}” is no time of RFC 3339, as 2026-11-20T09:00:00Z is"))
        }
        Value::String(_) | Value::Bool(_) => Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => {
            Ok(())
        }
        other => {
            let kind = match other {
                Value::Number(number) => format!("{number}"),
                Value::Array(_) => "a list".to_owned(),
                _object => "an object".to_owned(),
            };
            let types = "a text, true, false, or a whole number of 32 bits";
            Err(format!("the attribute `{name}` is {kind}: an attribute is {types}"))
        }
    }
}

/// Whether a text is a time of RFC 3339, and of none of the other forms that ISO 8601 has.
fn is_time(text: &str) -> bool {
    let is_extended = matches!(
        text.as_bytes(),
        [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't', _, _, b':', _, _, b':', ..]
    );
    is_extended && !text.contains('[') && Timestamp::from_str(text).is_ok()
}

fn of_headers(headers: &Headers) -> Result<Map<String, Value>, String> {
    let mut attributes = Map::new();
    for (header, value) in headers {
        let Some(name) = header.strip_prefix(PREFIX) else { continue };
        if name == "data" {
            return Err(format!(
                "the header `{header}`: no attribute is called `data`, the data is the body"
            ));
        }
        // What cannot be told as text came as this sign.
        let unquoted = unquoted(value);
        let decoded = percent_decode_str(&unquoted).decode_utf8().ok();
        let Some(text) = decoded.filter(|_| !unquoted.contains(char::REPLACEMENT_CHARACTER)) else {
            let how = "write what is no visible ASCII as percent-encoded UTF-8, as in gr%C3%B6%C3%9Fe";
            return Err(format!("the header `{header}` is no UTF-8: {how}"));
        };
        attributes.insert(name.to_owned(), json!(text));
    }
    if let Some(kind) = headers.get("content-type") {
        attributes.insert("datacontenttype".to_owned(), json!(kind));
    }
    Ok(attributes)
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

/// The attributes of an event that is JSON; its data becomes the body. What is null is not there.
fn taken_out(body: &mut Value) -> Result<Map<String, Value>, String> {
    let Value::Object(mut attributes) = body.take() else { return Ok(Map::new()) };
    attributes.retain(|_, value| !value.is_null());
    let [data, bytes] = DATA.map(|name| attributes.remove(name));
    *body = match (data, bytes) {
        (Some(_), Some(_)) => {
            return Err("it has both `data` and `data_base64`: an event has one of them".to_owned());
        }
        (Some(data), None) => data,
        (None, Some(bytes)) => {
            let is_base64 = bytes.as_str().is_some_and(|text| BASE64.decode(text).is_ok());
            if !is_base64 {
                return Err("`data_base64` is no Base64 (RFC 4648, with its padding)".to_owned());
            }
            json!({ "data_base64": bytes })
        }
        (None, None) => Value::Null,
    };
    Ok(attributes)
}

#[cfg(test)]
mod tests;
