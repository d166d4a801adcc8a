//! As much of a text as has room.

/// A text cut behind so many characters, on one line.
pub(crate) fn clamped(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The last place, at most so many bytes in, where a text may be cut.
pub(crate) fn cut_at(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first digits of a hash.
pub(crate) fn brief(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// A word of REST as words: `exit_code` is `exit code`.
pub(crate) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(clamped("äöü\nß", 3), "äöü…");
        assert_eq!(clamped("a  b", 9), "a b");
    }
}
