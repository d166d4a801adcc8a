//! A text with numbered lines.

use crate::visible::visible_line;

/// Lines that a page shows of a text.
const LINES_MAX: usize = 5_000;

/// A line of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeLine {
    pub(crate) number: usize,
    pub(crate) text: String,
}

/// The lines of a text; those of a long one as far as a page shows them.
pub(crate) fn lines(text: &str) -> Vec<CodeLine> {
    let shown = text.lines().take(LINES_MAX).enumerate();
    shown.map(|(at, line)| CodeLine { number: at + 1, text: visible_line(line) }).collect()
}

/// How many lines of a text are not shown.
pub(crate) fn left_out(text: &str) -> usize {
    text.lines().count().saturating_sub(LINES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_as_far_as_a_page_goes() {
        let text = "x\n".repeat(LINES_MAX + 3);
        assert_eq!((lines(&text).len(), left_out(&text)), (LINES_MAX, 3));
        assert_eq!(lines("a\r\nb")[1], CodeLine { number: 2, text: "b".to_owned() });
        assert!(lines(&"ä".repeat(9_000))[0].text.len() < 5_000);
    }
}
