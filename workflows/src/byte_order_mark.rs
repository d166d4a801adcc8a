//! The byte-order mark that some programs of Windows write in front of a text.

/// The text behind the mark, where one stands in front of it: readers of JSON and YAML take it for a part of the text.
pub(crate) fn behind_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}
