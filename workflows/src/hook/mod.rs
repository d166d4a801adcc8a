//! How sources of webhooks are read: `[hooks.NAME]` in the settings.
//!
//! Law: reading is pure: the same headers and bytes give the same delivery, so a repeat is known as one.
//! Nothing of a signature or a token is kept.
//!
//! Called by the command line's `hook deliver`, and by whoever takes deliveries from a network, who checks
//! the [`signature`] first.

mod generic;
mod gitea;
mod github;
mod gitlab;
mod plane;
mod settings;
pub mod signature;

use std::collections::BTreeMap;

use everfold_engine::hooks::{BODY_BYTES_MAX, DeliveryReceived, ID_BYTES_MAX};
use everfold_engine::json::{Hash, JsonText, Value};

pub use settings::{HookSettings, Place, ReaderKind, Scheme};

/// Headers by their names in lower case.
pub type Headers = BTreeMap<String, String>;

/// What a reader finds in a delivery.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    /// What its sender calls it.
    id: Option<String>,
    /// What kind of event it tells of.
    name: Option<String>,
    /// Who is behind it.
    sender: Option<String>,
    /// What it is about: `action repository branch commit number title`, as far as there is such a thing.
    about: serde_json::Map<String, Value>,
}

/// Why a delivery cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is too large.
    #[error("the body has {0} bytes, {BODY_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// It is no JSON.
    #[error("the body is no JSON: {0}")]
    NoJson(String),
}

/// Reads a delivery as its source's settings say. `id`: what to call it, where its sender's word does not
/// count.
///
/// # Errors
/// [`ReadError`]
pub fn read(
    settings: &HookSettings,
    headers: &Headers,
    raw: &[u8],
    id: Option<&str>,
) -> Result<DeliveryReceived, ReadError> {
    if raw.len() > BODY_BYTES_MAX {
        return Err(ReadError::TooLarge(raw.len()));
    }
    let body: Value = match raw.iter().all(u8::is_ascii_whitespace) {
        true => Value::Null,
        false => serde_json::from_slice(raw).map_err(|error| ReadError::NoJson(error.to_string()))?,
    };
    let mut found = match settings.reader {
        ReaderKind::Generic => generic::read(headers, &body),
        ReaderKind::Gitea => gitea::read(headers, &body),
        ReaderKind::Github => github::read(headers, &body),
        ReaderKind::Gitlab => gitlab::read(headers, &body),
        ReaderKind::Plane => plane::read(headers, &body),
    };
    let place = |place: &Option<Place>| place.as_ref().and_then(|place| place.find(headers, &body));
    found.id = place(&settings.id).or(found.id);
    found.name = place(&settings.name).or(found.name);
    found.sender = place(&settings.sender).or(found.sender);
    let id = id.map(str::to_owned).or(found.id).filter(|id| is_id(id));
    Ok(DeliveryReceived {
        // Without a name of its own a delivery is what it says.
        id: id.unwrap_or_else(|| Hash::of(raw).to_string()[..32].to_owned()),
        name: found.name,
        sender: found.sender,
        headers: headers.iter().filter(|(name, _)| may_be_shown(name)).map(owned).collect(),
        body: JsonText::new(&body),
        about: JsonText::new(&Value::Object(found.about)),
    })
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control)
}

/// Whether a header holds nothing that lets its reader act as the sender.
fn may_be_shown(name: &str) -> bool {
    const SECRET: [&str; 7] =
        ["authorization", "cookie", "signature", "token", "secret", "password", "api-key"];
    !SECRET.iter().any(|word| name.contains(word))
}

/// A text, or a number as text, at a path of a document.
fn text(body: &Value, path: &str) -> Option<String> {
    let mut value = body;
    for part in path.split('.') {
        value = match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _other => None,
    }
}

/// The first of several places that holds a text.
fn first(body: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| text(body, path))
}

/// The first of several headers that is there.
fn header(headers: &Headers, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| headers.get(*name)).filter(|value| !value.is_empty()).cloned()
}

/// Puts what was found where triggers look for it.
fn about<'a>(fields: impl IntoIterator<Item = (&'a str, Option<String>)>) -> serde_json::Map<String, Value> {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
    there.collect()
}

/// The branch of `refs/heads/BRANCH`.
fn branch(reference: Option<String>) -> Option<String> {
    reference.map(|reference| reference.strip_prefix("refs/heads/").unwrap_or(&reference).to_owned())
}

#[cfg(test)]
mod tests;
