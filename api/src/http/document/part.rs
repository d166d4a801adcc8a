//! Parts of the document that are written as JSON.

/// Converts between a part of the document as a type of utoipa and as JSON, either way.
///
/// # Panics
/// Never: its callers pass constants and types of utoipa, and a test builds the whole document.
pub(super) fn part<T: serde::de::DeserializeOwned>(value: impl serde::Serialize) -> T {
    let read = serde_json::to_value(value).and_then(serde_json::from_value);
    read.expect("a part of the document reads as what it is")
}
