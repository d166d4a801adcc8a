//! Parts of the document that are written as JSON.

/// A part of the document, written as JSON, or the other way round.
///
/// # Panics
/// Never: what is written here is fixed, and a test reads all of it.
pub(super) fn part<T: serde::de::DeserializeOwned>(value: impl serde::Serialize) -> T {
    let read = serde_json::to_value(value).and_then(serde_json::from_value);
    read.expect("a part of the document reads as what it is")
}
