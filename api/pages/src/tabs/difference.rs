//! Two texts side by side, or one below the other, with what differs marked.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::code::shown_line;

/// Lines around a change that are shown.
const AROUND: usize = 3;
/// Rows of a difference on a page.
const ROWS_MAX: usize = 4_000;
/// So long is looked for the smallest difference; then a larger one will do.
const LOOK: Duration = Duration::from_millis(200);

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineChange {
    Same,
    Gone,
    New,
}

/// A part of a line; `is_changed`: it is what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiffPiece {
    pub(crate) text: String,
    pub(crate) is_changed: bool,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComparedLine {
    pub(crate) change: LineChange,
    pub(crate) before: Option<usize>,
    pub(crate) after: Option<usize>,
    pub(crate) pieces: Vec<DiffPiece>,
}

impl ComparedLine {
    pub(crate) fn class(&self) -> &'static str {
        match self.change {
            LineChange::Same => "same",
            LineChange::Gone => "gone",
            LineChange::New => "new",
        }
    }

    /// Its number in the text that it stands in.
    pub(crate) fn shown_number(&self) -> Option<usize> {
        self.after.or(self.before)
    }

    /// The sign in front of it: colour is never alone.
    pub(crate) fn sign(&self) -> &'static str {
        match self.change {
            LineChange::Same => " ",
            LineChange::Gone => "−",
            LineChange::New => "+",
        }
    }
}

/// Lines that follow each other, with what changed in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub(crate) lines: Vec<ComparedLine>,
}

/// A row of a difference side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinePair<'a> {
    pub(crate) before: Option<&'a ComparedLine>,
    pub(crate) after: Option<&'a ComparedLine>,
}

impl Hunk {
    /// Its lines in two columns: what went beside what came for it.
    pub(crate) fn pairs(&self) -> Vec<LinePair<'_>> {
        let (mut pairs, mut at) = (Vec::new(), 0);
        while let Some(line) = self.lines.get(at) {
            if line.change == LineChange::Same {
                pairs.push(LinePair { before: Some(line), after: Some(line) });
                at += 1;
                continue;
            }
            let of = |from: usize, change: LineChange| {
                self.lines[from..].iter().take_while(|line| line.change == change).count()
            };
            let gone = of(at, LineChange::Gone);
            let new = of(at + gone, LineChange::New);
            for row in 0..gone.max(new) {
                pairs.push(LinePair {
                    before: (row < gone).then(|| &self.lines[at + row]),
                    after: (row < new).then(|| &self.lines[at + gone + row]),
                });
            }
            at += gone + new;
        }
        pairs
    }
}

/// What differs between two texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TextDifference {
    pub(crate) hunks: Vec<Hunk>,
    pub(crate) gone: usize,
    pub(crate) new: usize,
    /// Whether more differs than is shown.
    pub(crate) is_cut: bool,
}

impl TextDifference {
    /// Compares two texts by their lines, and changed lines by their words.
    pub(crate) fn of(before: &str, after: &str) -> Self {
        let diff = TextDiff::configure().timeout(LOOK).diff_lines(before, after);
        let mut difference = Self::default();
        let mut rows = 0;
        for group in diff.grouped_ops(AROUND) {
            if rows > ROWS_MAX {
                difference.is_cut = true;
                break;
            }
            let mut lines = Vec::new();
            for change in group.iter().flat_map(|op| diff.iter_inline_changes(op)) {
                let change_of = match change.tag() {
                    ChangeTag::Equal => LineChange::Same,
                    ChangeTag::Delete => LineChange::Gone,
                    ChangeTag::Insert => LineChange::New,
                };
                let pieces = change.iter_strings_lossy().map(|(is_changed, text)| DiffPiece {
                    text: shown_line(text.trim_end_matches(['\n', '\r'])),
                    is_changed,
                });
                difference.gone += usize::from(change_of == LineChange::Gone);
                difference.new += usize::from(change_of == LineChange::New);
                lines.push(ComparedLine {
                    change: change_of,
                    before: change.old_index().map(|at| at + 1),
                    after: change.new_index().map(|at| at + 1),
                    pieces: pieces.collect(),
                });
            }
            lines.truncate(ROWS_MAX);
            rows += lines.len();
            difference.hunks.push(Hunk { lines });
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_stands_beside_what_came() {
        let difference = TextDifference::of("a\nold text\nc\n", "a\nnew text\nmore\nc\n");
        assert_eq!((difference.hunks.len(), difference.gone, difference.new), (1, 1, 2));
        let pairs = difference.hunks[0].pairs();
        let numbers: Vec<_> = pairs
            .iter()
            .map(|pair| (pair.before.and_then(|line| line.before), pair.after.and_then(|line| line.after)))
            .collect();
        assert_eq!(numbers, [(Some(1), Some(1)), (Some(2), Some(2)), (None, Some(3)), (Some(3), Some(4))]);
    }

    #[test]
    fn equal_texts_do_not_differ() {
        assert!(TextDifference::of("a\n", "a\n").hunks.is_empty());
    }

    #[test]
    fn large_texts_that_have_nothing_in_common_take_no_minute() {
        let lines = |letter: &str| (0..20_000).map(|at| format!("{letter}{at}\n")).collect::<String>();
        let difference = TextDifference::of(&lines("a"), &lines("b"));
        assert!(difference.hunks.iter().map(|hunk| hunk.lines.len()).sum::<usize>() <= ROWS_MAX);
    }
}
