//! What differs between two texts, line by line: side by side, or one below the other, with what differs marked.
//!
//! Law: no page shows more rows of a difference than its bound; how many are left out is counted.

use std::time::Duration;

use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};

use crate::visible::visible_line;

/// Lines around a change that are shown.
const AROUND: usize = 3;
/// Rows of a difference on a page.
pub(crate) const ROWS_MAX: usize = 2_000;
/// Where more lines than these were replaced by others at once, no words of them are marked.
const WORDS_ROWS_MAX: usize = 400;
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
    fn new<'a>(
        tag: ChangeTag,
        (before, after): (Option<usize>, Option<usize>),
        pieces: impl Iterator<Item = (bool, &'a str)>,
    ) -> Self {
        let change = match tag {
            ChangeTag::Equal => LineChange::Same,
            ChangeTag::Delete => LineChange::Gone,
            ChangeTag::Insert => LineChange::New,
        };
        let shown = |text: &str| visible_line(text.trim_end_matches(['\n', '\r']));
        let pieces = pieces.map(|(is_changed, text)| DiffPiece { text: shown(text), is_changed });
        let pieces = pieces.filter(|piece| !piece.text.is_empty()).collect();
        Self { change, before: before.map(|at| at + 1), after: after.map(|at| at + 1), pieces }
    }

    pub(crate) fn class(&self) -> &'static str {
        match self.change {
            LineChange::Same => "same",
            LineChange::Gone => "gone",
            LineChange::New => "new",
        }
    }

    /// The whole line.
    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
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
    /// Where it begins in the former text, and in the latter.
    pub(crate) at: (usize, usize),
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
pub(crate) struct LineDifference {
    pub(crate) hunks: Vec<Hunk>,
    pub(crate) gone: usize,
    pub(crate) new: usize,
    /// The rows beyond the bound of the page.
    pub(crate) left_out: usize,
}

impl LineDifference {
    /// Compares two texts by their lines, and changed lines by their words; `rows_max` rows of it at most.
    pub(crate) fn of(before: &str, after: &str, rows_max: usize) -> Self {
        let diff = TextDiff::configure().timeout(LOOK).diff_lines(before, after);
        let mut difference = Self::default();
        let mut room = rows_max;
        for group in diff.grouped_ops(AROUND) {
            let at = group.first().map(|op| (op.old_range().start + 1, op.new_range().start + 1));
            let mut lines = Vec::new();
            for op in &group {
                let (gone, new) = match op.tag() {
                    DiffTag::Equal => (0, 0),
                    _ => (op.old_range().len(), op.new_range().len()),
                };
                let rows = if op.tag() == DiffTag::Equal { op.old_range().len() } else { gone + new };
                let shown = rows.min(room);
                difference.gone += gone;
                difference.new += new;
                difference.left_out += rows - shown;
                room -= shown;
                lines.extend(compared(&diff, op, rows, shown));
            }
            if let Some(at) = at.filter(|_| !lines.is_empty()) {
                difference.hunks.push(Hunk { at, lines });
            }
        }
        difference
    }

    /// Whether the texts are the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.hunks.is_empty()
    }

    /// How much of it is not shown, as a sentence; empty where all is.
    pub(crate) fn left_out_words(&self) -> String {
        match self.left_out {
            0 => String::new(),
            1 => "1 further row is not shown.".to_owned(),
            rows => format!("{} further rows are not shown.", crate::words::count(rows as u64)),
        }
    }
}

/// The first lines of one part of a difference, which has so many rows.
fn compared<'a>(
    diff: &'a TextDiff<'a, 'a, 'a, str>,
    op: &DiffOp,
    rows: usize,
    shown: usize,
) -> Vec<ComparedLine> {
    if op.tag() != DiffTag::Replace || rows > WORDS_ROWS_MAX {
        let changes = diff.iter_changes(op).take(shown);
        let line = |change: similar::Change<&str>| {
            let numbers = (change.old_index(), change.new_index());
            ComparedLine::new(change.tag(), numbers, std::iter::once((false, change.value())))
        };
        return changes.map(line).collect();
    }
    let mut lines = Vec::new();
    for change in diff.iter_inline_changes(op).take(shown) {
        let numbers = (change.old_index(), change.new_index());
        let pieces: Vec<_> = change.iter_strings_lossy().collect();
        let pieces = pieces.iter().map(|(is_changed, text)| (*is_changed, text.as_ref()));
        lines.push(ComparedLine::new(change.tag(), numbers, pieces));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_stands_beside_what_came() {
        let difference = LineDifference::of("a\nold text\nc\n", "a\nnew text\nmore\nc\n", ROWS_MAX);
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
        assert!(LineDifference::of("a\n", "a\n", ROWS_MAX).is_empty());
    }

    #[test]
    fn a_changed_line_marks_the_words_that_changed() {
        let difference =
            LineDifference::of("name: a\necho one thing\n", "name: a\necho two thing\n", ROWS_MAX);
        let lines = &difference.hunks[0].lines;
        assert_eq!(lines.iter().map(ComparedLine::sign).collect::<Vec<_>>(), [" ", "−", "+"]);
        let marked: Vec<&str> = lines[2]
            .pieces
            .iter()
            .filter(|piece| piece.is_changed)
            .map(|piece| piece.text.as_str())
            .collect();
        assert_eq!(marked, ["two"]);
        assert_eq!(lines[2].text(), "echo two thing");
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own() {
        let text: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let other = text.replace("line 3\n", "first\n").replace("line 33\n", "second\n");
        let difference = LineDifference::of(&text, &other, ROWS_MAX);
        assert_eq!(difference.hunks.iter().map(|hunk| hunk.at).collect::<Vec<_>>(), [(1, 1), (31, 31)]);
    }

    #[test]
    fn large_texts_that_have_nothing_in_common_are_shown_as_far_as_the_page_goes() {
        let lines = |letter: &str| (0..20_000).map(|at| format!("{letter}{at}\n")).collect::<String>();
        let difference = LineDifference::of(&lines("a"), &lines("b"), ROWS_MAX);
        assert_eq!(difference.hunks.iter().map(|hunk| hunk.lines.len()).sum::<usize>(), ROWS_MAX);
        assert_eq!((difference.gone, difference.new, difference.left_out), (20_000, 20_000, 38_000));
        assert_eq!(
            difference.left_out_words(),
            format!("{} further rows are not shown.", crate::words::count(38_000))
        );
    }
}
