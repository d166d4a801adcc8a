//! Where a word begins and ends in a text that may be escaped, coloured or encoded.
//!
//! Law: what stands before a word counts up to [`CONTEXT_BYTES`].

/// How far the search looks back to see whether a word begins.
pub(super) const CONTEXT_BYTES: usize = 12;

/// Whether a token may go on with this byte.
pub(super) fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'.' | b'~' | b'%')
}

/// Whether a word begins at a place: behind escapes, codes of colours and encoded characters as well.
pub(super) fn begins_word(text: &[u8], at: usize) -> bool {
    is_bounded(&text[at.saturating_sub(CONTEXT_BYTES)..at], text[at])
}

fn is_bounded(before: &[u8], first: u8) -> bool {
    let Some(last) = before.last() else { return true };
    if !last.is_ascii_alphanumeric() || !first.is_ascii_alphanumeric() {
        return true;
    }
    if first.is_ascii_uppercase() && last.is_ascii_lowercase() {
        return true;
    }
    let tail = |count: usize| before.len().checked_sub(count).map(|from| &before[from..]);
    let is_escape = tail(2).is_some_and(|tail| tail[0] == b'\\' && b"nrtbf".contains(&tail[1]));
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let is_percent = tail(3).is_some_and(|tail| tail[0] == b'%' && is_hex(&tail[1..]));
    let is_unicode = tail(6).is_some_and(|tail| tail.starts_with(b"\\u") && is_hex(&tail[2..]));
    let is_colour = *last == b'm' && {
        let mut codes = before[..before.len() - 1].iter().rev();
        codes.find(|byte| !(byte.is_ascii_digit() || **byte == b';')) == Some(&b'[')
    };
    is_escape || is_percent || is_unicode || is_colour
}
