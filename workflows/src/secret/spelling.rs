//! How one character of a value may be spelled in a text: as it is, percent-encoded, as an escape of JSON,
//! as an entity of HTML.
//!
//! Law: each character is looked at by itself, so a text is found whichever of its characters a program
//! escapes, and whichever letters it writes digits with.
//!
//! Used by [`Mask`](super::Mask). The forms are those of RFC 3986 and of HTML forms (`+` for a space),
//! RFC 8259 §7, and the character references of HTML.

/// The longest character reference: `&#x0010FFFF;`, and one more zero.
const ENTITY_BYTES_MAX: usize = 13;

/// Places that are followed at once.
const PLACES_MAX: usize = 32;

/// The character references that programs write by name, of those characters that they have to escape.
const NAMED: [(&str, char); 6] =
    [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", '\u{a0}')];

/// Where spellings end that begin at one place of a text.
#[derive(Debug, Default)]
pub(super) struct Ends {
    ends: Vec<usize>,
    /// The text ends before that is decided.
    is_cut: bool,
}

impl Ends {
    /// Adds the ends of the spellings of `wanted` that begin at `from`.
    pub(super) fn add(&mut self, text: &[u8], from: usize, wanted: char) {
        let rest = &text[from..];
        let mut buffer = [0; 4];
        let bytes = wanted.encode_utf8(&mut buffer).as_bytes();
        self.literal(rest, from, bytes);
        match rest.first() {
            None => self.is_cut = true,
            Some(b'%') => self.percent(rest, from, bytes),
            Some(b'+') if wanted == ' ' => self.ends.push(from + 1),
            Some(b'\\') => self.json(rest, from, wanted),
            Some(b'&') => self.entity(rest, from, wanted),
            Some(_other) => {}
        }
    }

    fn literal(&mut self, rest: &[u8], from: usize, bytes: &[u8]) {
        if rest.starts_with(bytes) {
            self.ends.push(from + bytes.len());
        } else if bytes.starts_with(rest) {
            self.is_cut = true;
        }
    }

    fn percent(&mut self, rest: &[u8], from: usize, bytes: &[u8]) {
        let mut at = 0;
        for byte in bytes {
            let Some(digits) = rest.get(at..at + 3) else {
                self.is_cut |= rest.len() < at + 3;
                return;
            };
            if digits[0] != b'%' || number(&digits[1..], 16) != Some(u32::from(*byte)) {
                return;
            }
            at += 3;
        }
        self.ends.push(from + at);
    }

    fn json(&mut self, rest: &[u8], from: usize, wanted: char) {
        let short = match rest.get(1) {
            None => return self.is_cut = true,
            Some(b'u') => return self.json_units(rest, from, wanted),
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'"') => '"',
            Some(b'\'') => '\'',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(_other) => return,
        };
        if short == wanted {
            self.ends.push(from + 2);
        }
    }

    /// `\u00fc`; of what lies beyond the basic plane two of them.
    fn json_units(&mut self, rest: &[u8], from: usize, wanted: char) {
        let mut buffer = [0; 2];
        let mut at = 0;
        for unit in wanted.encode_utf16(&mut buffer) {
            let Some(escape) = rest.get(at..at + 6) else {
                self.is_cut = true;
                return;
            };
            if !escape.starts_with(b"\\u") || number(&escape[2..], 16) != Some(u32::from(*unit)) {
                return;
            }
            at += 6;
        }
        self.ends.push(from + at);
    }

    fn entity(&mut self, rest: &[u8], from: usize, wanted: char) {
        let within = &rest[..rest.len().min(ENTITY_BYTES_MAX)];
        let Some(end) = within.iter().position(|byte| *byte == b';') else {
            self.is_cut |= rest.len() < ENTITY_BYTES_MAX;
            return;
        };
        let name = &within[1..end];
        let meant = match name.strip_prefix(b"#") {
            Some([b'x' | b'X', digits @ ..]) => number(digits, 16).and_then(char::from_u32),
            Some(digits) => number(digits, 10).and_then(char::from_u32),
            None => NAMED.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, meant)| *meant),
        };
        if meant == Some(wanted) {
            self.ends.push(from + end + 1);
        }
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// What stands at a place of a text where a value may be spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelled {
    /// Something else.
    No,
    /// It may be; the text ends before that is decided.
    Perhaps,
    /// The value, up to here.
    Until(usize),
}

/// Whether a value is spelled at a place. `wraps`: line ends within it, however spelled, are passed over.
pub(super) fn spelled(value: &[char], wraps: bool, text: &[u8], from: usize, is_last: bool) -> Spelled {
    let Some((first, rest)) = value.split_first() else { return Spelled::No };
    let mut found = Ends::default();
    found.add(text, from, *first);
    let (mut places, mut is_cut) = (found.ends, found.is_cut);
    for wanted in rest {
        let mut found = Ends::default();
        // What is passed over may be followed by more of it.
        let mut next = 0;
        while let Some(place) = places.get(next).copied() {
            next += 1;
            found.add(text, place, *wanted);
            if wraps {
                let mut line_ends = Ends::default();
                line_ends.add(text, place, '\n');
                line_ends.add(text, place, '\r');
                found.is_cut |= line_ends.is_cut;
                line_ends.ends.retain(|end| !places.contains(end));
                places.extend(line_ends.ends);
            }
        }
        is_cut |= found.is_cut;
        places = found.ends;
        places.sort_unstable();
        places.dedup();
        // A text that is spelled in more ways at once holds nothing but escapes.
        places.truncate(PLACES_MAX);
        if places.is_empty() {
            break;
        }
    }
    match places.last() {
        // The longer spelling may still come.
        _ if is_cut && !is_last => Spelled::Perhaps,
        Some(end) => Spelled::Until(*end),
        None => Spelled::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(value: &str, text: &str) -> Spelled {
        let value: Vec<char> = value.chars().collect();
        spelled(&value, true, text.as_bytes(), 0, true)
    }

    #[test]
    fn row_72_each_character_is_found_in_each_of_its_spellings() {
        for (value, text) in [
            ("a/b&c", r"a\/b\u0026c"),
            ("a/b&c", r"a\/b&amp;c"),
            ("a/b&c", "a%2fb%26c"),
            ("a/b&c", "a/b%26c"),
            ("key für x", r"key f\u00fcr x"),
            ("key für x", r"key f\u00FCr x"),
            ("key für x", "key+f%C3%BCr+x"),
            ("key für x", "key%20f%c3%bcr%20x"),
            ("key für x", "key f&#252;r x"),
            ("key für x", "key f&#xFC;r x"),
            ("it's <1>", "it&#039;s &lt;1&gt;"),
            ("it's <1>", r"it\u0027s \u003c1\u003E"),
            ("🔑key", r"\ud83d\udd11key"),
            ("🔑key", "%F0%9F%94%91key"),
            (r"a\\b", r"a\\\\b"),
            (r"a\\b", r"a\\b"),
            (r"a%25b", r"a%2525b"),
        ] {
            assert_eq!(until(value, text), Spelled::Until(text.len()), "{value} in {text}");
        }
        for (value, text) in [("a/b", r"a\u002eb"), ("a&b", "a&lt;b"), ("key", "ke"), ("a b", "a%2bb")] {
            assert_eq!(until(value, text), Spelled::No, "{value} in {text}");
        }
    }

    #[test]
    fn row_72_line_ends_are_passed_over_however_they_are_spelled() {
        for text in ["abcd\nefgh", r"abcd\nefgh", "abcd%0D%0Aefgh", "abcd&#10;efgh", "abcd\r\n\r\nefgh"] {
            assert_eq!(until("abcdefgh", text), Spelled::Until(text.len()), "{text}");
        }
    }
}
