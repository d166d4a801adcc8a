//! How sources of webhooks are read: `[hooks.NAME]` in the settings.
//!
//! Law: reading is pure: the same headers and bytes give the same delivery, so a repeat is known as one.
//! Nothing of a signature or a token is kept, nor the source's secret, whatever header holds it.
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
use everfold_engine::json::{self, Hash, JsonText, Value};

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
    /// It is no JSON, or would be read as something else than it says.
    #[error("the body cannot be read as JSON: {0}")]
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
        false => json::strict::value(raw).map_err(ReadError::NoJson)?,
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
        headers: shown(settings, headers),
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

/// The headers that are kept: those that hold nothing that lets their reader act as the sender.
fn shown(settings: &HookSettings, headers: &Headers) -> Headers {
    let secret = settings.secret.as_ref().and_then(|secret| secret.read().ok());
    let is_shown = |(name, value): &(&String, &String)| {
        may_be_shown(settings, name) && !secret.as_ref().is_some_and(|secret| holds(value, secret))
    };
    headers.iter().filter(is_shown).map(owned).collect()
}

/// Whether the name of a header says of no secret. A header that the settings read an id, an event or a sender from is
/// recorded as that, so that it is shown by its own name, too.
fn may_be_shown(settings: &HookSettings, name: &str) -> bool {
    const SECRET: [&str; 9] =
        ["key", "auth", "secret", "token", "signature", "cookie", "password", "passphrase", "credential"];
    let is_read = |place: &Option<Place>| matches!(place, Some(Place::Header(own)) if own == name);
    let is_told = [&settings.id, &settings.name, &settings.sender].into_iter().any(is_read);
    settings.header.as_deref() != Some(name) && (is_told || !SECRET.iter().any(|word| name.contains(word)))
}

/// Whether a value is the source's secret, or holds it beside other words; a short one may stand in any text.
fn holds(value: &str, secret: &str) -> bool {
    const SHORT: usize = 8;
    value.trim() == secret || (secret.len() >= SHORT && value.contains(secret))
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
