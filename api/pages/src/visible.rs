//! Texts in which every character can be seen.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A text in which characters that are not seen, or that change how others are read, are named: marks of the reading
/// direction as `⟨U+202E⟩`, control characters by their signs (`␛`). Line ends and tabs stay; `\r\n` is a line end. What sets
/// colours in a terminal is left out: it hides nothing here.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\r' if rest.as_str().starts_with('\n') => {}
            '\u{1b}' if let Some(after) = after_colour(rest.as_str()) => rest = after.chars(),
            character if !is_unseen(character) => seen.push(character),
            '\u{0}'..='\u{1f}' => seen.extend(char::from_u32(0x2400 + u32::from(character))),
            '\u{7f}' => seen.push('␡'),
            character => {
                // Writing to a string does not fail.
                let _ = write!(seen, "⟨U+{:04X}⟩", u32::from(character));
            }
        }
    }
    Cow::Owned(seen)
}

/// What stands behind the rest of a sequence that sets a terminal's colours (SGR, ECMA-48 8.3.117), of which the escape
/// character has been read.
fn after_colour(rest: &str) -> Option<&str> {
    let behind = rest
        .strip_prefix('[')?
        .trim_start_matches(|part: char| part.is_ascii_digit() || matches!(part, ';' | ':'));
    behind.strip_prefix('m')
}

/// The names of the characters of a text that [`visible`] names, each once: for fields, whose text stays as it is.
pub(crate) fn unseen(text: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n");
    let found: BTreeSet<char> = text.chars().filter(|character| is_unseen(*character)).collect();
    let names: Vec<String> =
        found.into_iter().map(|character| visible(&character.to_string()).into_owned()).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

/// The characters of a line that a page shows.
const LINE_MAX: usize = 2_000;

/// A line as a page shows it: a very long one is cut.
pub(crate) fn visible_line(line: &str) -> String {
    match line.char_indices().nth(LINE_MAX) {
        Some((at, _)) => format!("{}…", visible(&line[..at])),
        None => visible(line).into_owned(),
    }
}

fn is_unseen(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Soft hyphen, joiner of graphemes, fillers of Hangul and Khmer, Mongolian selectors. The blank of Braille is a
        // blank: drawings in a terminal are full of it.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}' => true,
        // Joiners stay: they make one emoji of several.
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Selectors of variants, but for the one that makes an emoji of a sign; marks of annotations.
        '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        // Formats of shorthand and music; tags and further selectors.
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_named() {
        assert_eq!(visible("a\u{1b}[31b\u{202e}c\r\nd\te\u{200b}"), "a␛[31b⟨U+202E⟩c\nd\te⟨U+200B⟩");
        assert_eq!(visible("a\u{1b}[31;1mb\u{1b}[0m\u{1b}[mc\u{1b}[2K\u{1b}"), "abc␛[2K␛");
        assert_eq!(unseen("a\u{202e}b\u{202e}\r\n\u{1b}").as_deref(), Some("␛ ⟨U+202E⟩"));
        assert_eq!(unseen("plain\r\n"), None);
        assert!(matches!(visible("plain, äöü 👩‍💻 ❤\u{fe0f}"), Cow::Borrowed(_)));
    }

    #[test]
    fn fillers_soft_hyphens_and_selectors_are_named() {
        for hidden in ['\u{ad}', '\u{34f}', '\u{3164}', '\u{fe01}', '\u{e0041}', '\u{e0100}', '\u{fff9}'] {
            assert_eq!(visible(&format!("a{hidden}b")), format!("a⟨U+{:04X}⟩b", u32::from(hidden)));
        }
    }
}
