//! The part of a line that a search looks at.
//!
//! Law: an expression looks at no more than a window, so a line of any length takes time in proportion to it.

/// How much of a line an expression looks at.
pub(super) const WINDOW_BYTES: usize = 16 * 1024;

/// The rest of the line, without its end, and whether that is all of it; `None` where its end may still come.
pub(super) fn line_from(text: &[u8], start: usize, is_last: bool) -> Option<(&[u8], bool)> {
    let window = &text[start..text.len().min(start + WINDOW_BYTES)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => Some((&window[..end], true)),
        None if window.len() == WINDOW_BYTES => Some((window, start + WINDOW_BYTES == text.len() && is_last)),
        None => is_last.then_some((window, true)),
    }
}
