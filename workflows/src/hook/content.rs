//! What a reader finds in a delivery, and how it looks there.

use std::collections::BTreeMap;

use everfold_base::json::Value;

/// Headers by their names in lower case.
pub type Headers = BTreeMap<String, String>;

/// What a reader finds in a delivery.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DeliveryContent {
    /// What its sender calls it.
    pub(super) id: Option<String>,
    /// What kind of event it tells of.
    pub(super) name: Option<String>,
    /// Who is behind it.
    pub(super) sender: Option<String>,
    /// What it is about: `action repository branch commit number title`, as far as there is such a thing.
    pub(super) about: serde_json::Map<String, Value>,
}

/// A text, or a number as text, at a path of a document.
pub(super) fn text(body: &Value, path: &str) -> Option<String> {
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
pub(super) fn first(body: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| text(body, path))
}

/// The first of several headers that is there.
pub(super) fn header(headers: &Headers, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| headers.get(*name)).filter(|value| !value.is_empty()).cloned()
}

/// Puts what was found where triggers look for it.
pub(super) fn about<'a>(
    fields: impl IntoIterator<Item = (&'a str, Option<String>)>,
) -> serde_json::Map<String, Value> {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
    there.collect()
}

/// Whether a name says of what lets its reader act as the sender.
pub(super) fn is_secret(name: &str) -> bool {
    const SECRET: [&str; 9] =
        ["key", "auth", "secret", "token", "signature", "cookie", "password", "passphrase", "credential"];
    SECRET.iter().any(|word| name.contains(word))
}

/// The branch of `refs/heads/BRANCH`.
pub(super) fn branch(reference: Option<String>) -> Option<String> {
    reference.map(|reference| reference.strip_prefix("refs/heads/").unwrap_or(&reference).to_owned())
}
