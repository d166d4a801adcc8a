//! Private keys: a line of BEGIN, lines of the key, a line of END.
//!
//! Law: the block ends with its line of END, or before the first line that cannot be one of a key.

/// What begins a block, in lower case.
pub(super) const BEGIN: &str = "-----begin ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// The longest kind, as `ENCRYPTED PRIVATE KEY`.
const KIND_BYTES_MAX: usize = 64;
/// The shortest run of digits that is a key in the line of BEGIN itself.
const RUN_BYTES_MIN: usize = 16;

/// Where the line that begins a private key ends its mark: `text` begins with [`BEGIN`].
pub(super) fn after_begin(text: &[u8]) -> Option<usize> {
    let kind = text.get(BEGIN.len()..)?;
    let length = find(&kind[..kind.len().min(KIND_BYTES_MAX)], DASHES)?;
    let kind = &kind[..length];
    let is_private = find(kind, b"PRIVATE KEY").is_some()
        && kind.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    is_private.then_some(BEGIN.len() + length + DASHES.len())
}

/// Where the mark of END in a line ends.
pub(super) fn after_end(line: &[u8]) -> Option<usize> {
    let at = find(line, END)? + END.len();
    let length = find(&line[at..], DASHES)?;
    Some(at + length + DASHES.len())
}

/// How far a key reaches in the line of BEGIN itself, where its line ends are escaped.
pub(super) fn run(rest: &[u8]) -> usize {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\\');
    let length = rest.iter().take_while(|byte| is_digit(byte)).count();
    if length >= RUN_BYTES_MIN { length } else { 0 }
}

/// How many words a line has that can be one of a key: digits of base64, alone or behind what logs and patches put
/// before a line. A header of the block and an empty line count 0. The lines of a block have as many words each, once
/// that is known.
pub(super) fn body(line: &[u8], words_before: usize) -> Option<usize> {
    const WORDS_MAX: usize = 16;
    let words: Vec<&[u8]> =
        line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).take(WORDS_MAX + 1).collect();
    let (last, before) = match words.split_last() {
        None => return Some(0),
        Some((_, before)) if before.len() >= WORDS_MAX => return None,
        Some(parts) => parts,
    };
    if let Some(first) = before.first().filter(|_| words_before == 0)
        && first.ends_with(b":")
        && first[0].is_ascii_uppercase()
    {
        return Some(0);
    }
    let is_of_block = match words_before {
        0 => before.is_empty() || last.len() >= 32,
        known => known == words.len(),
    };
    (is_of_block && is_digits(last)).then_some(words.len())
}

fn is_digits(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"+").or(word.strip_prefix(b"-")).unwrap_or(word);
    word.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'"' | b'\'' | b',' | b'\\')
    })
}

/// Whether a line holds a part of a key, so that what stands before it was its beginning.
pub(super) fn is_first(line: &[u8]) -> bool {
    let is_blank = line.iter().all(u8::is_ascii_whitespace);
    !is_blank && body(line, 0).is_some() || after_end(line).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
