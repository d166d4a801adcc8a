//! Reads the parameters of the functions `notify.*`.
//!
//! Law: no value is repeated in a message: it may be a secret.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_language::definition::similar;

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Validation, message)
}

/// Refuses what is no parameter: a mistyped one would be silently left out.
pub(super) fn known(with: &Value, function: &str, names: &[&str]) -> Result<(), Failure> {
    let unknown = with
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .find(|name| !names.contains(&name.as_str()));
    let Some(unknown) = unknown else { return Ok(()) };
    let near = similar(unknown, names.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    let message = format!("{function} takes no `{unknown}`{}", near.unwrap_or_default());
    Err(invalid(message).with_hint(format!("it takes {}", names.join(", "))))
}

/// A text that must be there.
pub(super) fn required<'a>(with: &'a Value, name: &str, what: &str) -> Result<&'a str, Failure> {
    let text = with[name].as_str().map(str::trim).filter(|text| !text.is_empty());
    text.ok_or_else(|| invalid(format!("`with.{name}` is {what}")))
}

/// A text that may be there.
pub(super) fn optional<'a>(with: &'a Value, name: &str) -> Result<Option<&'a str>, Failure> {
    match &with[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _other => Err(invalid(format!("`with.{name}` is a text"))),
    }
}
