//! Texts that are shown in one line.

use std::borrow::Cow;

/// The text in one line, as it is read: control characters and breaks of lines are blanks, marks of direction are
/// gone. Such marks and breaks let a title say another thing in a list, a log or the subject of a mail than it holds.
///
/// Deterministic, and the same again for its own result.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_break(c) || is_direction(c)) {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().filter(|c| !is_direction(*c)).collect();
    let parts = kept.split(is_break).map(str::trim).filter(|part| !part.is_empty());
    Cow::Owned(parts.collect::<Vec<_>>().join(" "))
}

/// Whether a character turns the direction in which text is read. Letters that are read from the right need none.
#[must_use]
pub fn is_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character ends a line, or does something else than being shown.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_57_one_line_is_left_of_a_text_without_marks_that_turn_it_round() {
        for (text, line) in [
            ("Add  login ", "Add  login "),
            ("", ""),
            ("שלום – 👩\u{200d}💻", "שלום – 👩\u{200d}💻"),
            ("Fix\r\n\r\n  the bug\n", "Fix the bug"),
            ("a\u{2028}b\u{85}c\u{0}d\te", "a b c d e"),
            ("\u{1b}[31mred", "[31mred"),
            ("invoice\u{202e}fdp.exe\u{202c}", "invoicefdp.exe"),
            ("\u{2066}a\u{2069}\u{200e}\u{200f}\u{61c}b", "ab"),
            ("\n\u{202e}\n", ""),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
            assert_eq!(one_line(&one_line(text)), line, "{text:?}");
        }
    }
}
