//! The arguments of functions, and the bound of what they give.
//!
//! Law: a leaf of the functions' files.

use serde_json::Value;

use everfold_base::json::canonical;

/// Longest text that a function gives.
pub(super) const TEXT_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn text(arguments: &[Value], index: usize) -> Result<&str, String> {
    match arguments.get(index) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("a text is needed, this is {}", kind(other))),
        None => Err("a text is missing".to_owned()),
    }
}

pub(super) fn count(arguments: &[Value], index: usize) -> Result<usize, String> {
    match arguments.get(index).and_then(Value::as_i64) {
        Some(number) => usize::try_from(number).map_err(|_| format!("{number} is below 0")),
        None => Err("a whole number is needed".to_owned()),
    }
}

/// How often at most; below 0: as often as there is reason to.
pub(super) fn limit(arguments: &[Value], index: usize) -> Result<usize, String> {
    match arguments.get(index) {
        None => Ok(usize::MAX),
        Some(number) if number.as_i64().is_some_and(|number| number < 0) => Ok(usize::MAX),
        Some(_) => count(arguments, index),
    }
}

pub(super) fn bounded(text: String) -> Result<Value, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
    }
    Ok(Value::String(text))
}

/// What a value is, in words: `a text`.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The text that stands for a value inside other text.
pub fn to_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => canonical(other),
    }
}
