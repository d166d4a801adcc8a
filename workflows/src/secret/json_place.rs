//! Follows a text as JSON, so that what is masked in it stays JSON.
//!
//! Law: of correct JSON each place is known; of any other text the answer is a guess that costs no more than two quotes.
//!
//! Used by [`Mask`](super::Mask). A string of JSON has no raw line end, so a line end in one says that the text is
//! something else, and the guess begins anew.

/// The longest number that is looked at as one; a longer one is text.
const BARE_BYTES_MAX: usize = 1024;
/// The words of JSON.
const WORDS: [&[u8]; 3] = [b"true", b"false", b"null"];

/// Where a text of JSON stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JsonPlace {
    is_in_string: bool,
    is_escaped: bool,
    /// How many lists and objects are open.
    depth: usize,
    /// The last two signs outside of strings that are no space; the quote stands for a string.
    before: [u8; 2],
}

impl JsonPlace {
    /// Goes over bytes.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.pass_one(*byte));
    }

    fn pass_one(&mut self, byte: u8) {
        if self.is_in_string {
            match byte {
                b'\n' | b'\r' => (self.is_in_string, self.is_escaped) = (false, false),
                _any if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _other => {}
            }
            return;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => return,
            b'"' => self.is_in_string = true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _other => {}
        }
        self.before = [self.before[1], byte];
    }

    /// Whether a value of a list or an object stands next.
    pub(super) fn is_before_value(&self) -> bool {
        let expects = matches!(self.before, [b'"', b':'] | [_, b'[' | b',']);
        expects && self.depth > 0 && !self.is_in_string
    }
}

/// A number or a word of JSON.
pub(super) enum Bare {
    /// Something else.
    No,
    /// It may be; the text ends before that is decided.
    Perhaps,
    /// It is one, up to here.
    Until(usize),
}

/// What stands at a place where a value of JSON may stand.
pub(super) fn bare_at(text: &[u8], from: usize, is_last: bool) -> Bare {
    let rest = &text[from..text.len().min(from + BARE_BYTES_MAX)];
    let is_of_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    let length = rest.iter().take_while(|byte| is_of_bare(byte)).count();
    let (bare, end) = (&rest[..length], from + length);
    if length == 0 || length == BARE_BYTES_MAX {
        return Bare::No;
    }
    match ends_value(text, end, is_last) {
        None => Bare::Perhaps,
        Some(true) if is_number(bare) || WORDS.contains(&bare) => Bare::Until(end),
        Some(_other) => Bare::No,
    }
}

/// Whether a value of JSON may end here; `None` where that is not known yet.
pub(super) fn ends_value(text: &[u8], end: usize, is_last: bool) -> Option<bool> {
    match text.get(end) {
        Some(byte) => Some(matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}')),
        None => is_last.then_some(true),
    }
}

fn is_number(bare: &[u8]) -> bool {
    matches!(bare.first(), Some(b'-' | b'0'..=b'9'))
        && bare.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
}
