//! What differs between two texts, line by line.

use std::time::Duration;

use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};

/// The longest that the search for the shortest difference takes; one that is longer is shown then.
const SEARCH_MAX: Duration = Duration::from_millis(200);
/// As many equal lines stand around what differs.
const CONTEXT: usize = 3;

/// Of longer lines no words are marked.
const WORDS_BYTES_MAX: usize = 2_000;

/// A run of lines around what differs.
#[derive(Debug, Clone)]
pub(crate) struct DiffBlock {
    /// The first line of it in the former text, and in the latter.
    pub(crate) at: (usize, usize),
    pub(crate) rows: Vec<DiffRow>,
}

/// A line of the former text beside the one of the latter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DiffRow {
    pub(crate) former: Option<NumberedLine>,
    pub(crate) latter: Option<NumberedLine>,
}

/// A line, with the parts of it that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NumberedLine {
    pub(crate) number: usize,
    pub(crate) parts: Vec<DiffPart>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiffPart {
    pub(crate) text: String,
    pub(crate) differs: bool,
}

impl DiffRow {
    /// Whether both texts have this line.
    pub(crate) fn is_equal(&self) -> bool {
        self.former.is_some() && self.former.as_ref().map(texts) == self.latter.as_ref().map(texts)
    }
}

impl DiffBlock {
    /// The rows in the order of a unified difference: what went stands before what came in its place.
    pub(crate) fn unified(&self) -> Vec<UnifiedLine<'_>> {
        let mut lines = Vec::new();
        let mut came: Vec<&NumberedLine> = Vec::new();
        for row in &self.rows {
            if row.is_equal() {
                lines.extend(came.drain(..).map(UnifiedLine::came));
                lines.extend(row.former.as_ref().zip(row.latter.as_ref()).map(|(former, latter)| {
                    UnifiedLine {
                        sign: " ",
                        former: Some(former.number),
                        latter: Some(latter.number),
                        parts: &latter.parts,
                    }
                }));
                continue;
            }
            lines.extend(row.former.as_ref().map(UnifiedLine::went));
            came.extend(row.latter.as_ref());
        }
        lines.extend(came.drain(..).map(UnifiedLine::came));
        lines
    }
}

/// A line of a unified difference.
#[derive(Debug, Clone)]
pub(crate) struct UnifiedLine<'a> {
    pub(crate) sign: &'static str,
    pub(crate) former: Option<usize>,
    pub(crate) latter: Option<usize>,
    pub(crate) parts: &'a [DiffPart],
}

impl<'a> UnifiedLine<'a> {
    fn went(line: &'a NumberedLine) -> Self {
        Self { sign: "−", former: Some(line.number), latter: None, parts: &line.parts }
    }

    fn came(line: &'a NumberedLine) -> Self {
        Self { sign: "+", former: None, latter: Some(line.number), parts: &line.parts }
    }

    /// The class of the line.
    pub(crate) fn class(&self) -> &'static str {
        match self.sign {
            "+" => "came",
            "−" => "went",
            _equal => "",
        }
    }
}

fn texts(line: &NumberedLine) -> String {
    line.parts.iter().map(|part| part.text.as_str()).collect()
}

/// What differs between two texts; nothing where they are equal.
pub(crate) fn blocks(former: &str, latter: &str) -> Vec<DiffBlock> {
    let diff = TextDiff::configure().timeout(SEARCH_MAX).diff_lines(former, latter);
    let lines = BothLines { former: diff.old_slices(), latter: diff.new_slices() };
    let groups = diff.grouped_ops(CONTEXT);
    groups.iter().filter(|group| !group.is_empty()).map(|group| lines.block(group)).collect()
}

struct BothLines<'a> {
    former: &'a [&'a str],
    latter: &'a [&'a str],
}

impl BothLines<'_> {
    fn block(&self, ops: &[DiffOp]) -> DiffBlock {
        let first = ops.first().map_or((0, 0), |op| (op.old_range().start + 1, op.new_range().start + 1));
        DiffBlock { at: first, rows: ops.iter().flat_map(|op| self.rows(op)).collect() }
    }

    fn rows(&self, op: &DiffOp) -> Vec<DiffRow> {
        let (old, new) = (op.old_range(), op.new_range());
        let rows = old.len().max(new.len());
        let of = |lines: &[&str], at: usize, is_there: bool| {
            is_there.then(|| {
                lines
                    .get(at)
                    .map(|line| crate::visible::visible(line.trim_end_matches(['\r', '\n'])).into_owned())
                    .unwrap_or_default()
            })
        };
        let row = |nth: usize| {
            let former = of(self.former, old.start + nth, nth < old.len());
            let latter = of(self.latter, new.start + nth, nth < new.len());
            let (went, came) = match (&former, &latter) {
                (Some(former), Some(latter))
                    if op.tag() == DiffTag::Replace && former.len() + latter.len() <= WORDS_BYTES_MAX =>
                {
                    parts(former, latter)
                }
                _ => (whole(former.as_deref()), whole(latter.as_deref())),
            };
            DiffRow {
                former: former.map(|_| NumberedLine { number: old.start + nth + 1, parts: went }),
                latter: latter.map(|_| NumberedLine { number: new.start + nth + 1, parts: came }),
            }
        };
        (0..rows).map(row).collect()
    }
}

fn whole(text: Option<&str>) -> Vec<DiffPart> {
    text.map(|text| DiffPart { text: text.to_owned(), differs: false }).into_iter().collect()
}

/// The words of two lines, those marked that the other line lacks. Of lines that have little in common no word is.
fn parts(former: &str, latter: &str) -> (Vec<DiffPart>, Vec<DiffPart>) {
    let diff = TextDiff::configure().timeout(SEARCH_MAX).diff_words(former, latter);
    if diff.ratio() < 0.4 {
        return (whole(Some(former)), whole(Some(latter)));
    }
    let (mut went, mut came) = (Vec::new(), Vec::new());
    for change in diff.iter_all_changes() {
        let (text, differs) = (change.value(), change.tag() != ChangeTag::Equal);
        if change.tag() != ChangeTag::Insert {
            push(&mut went, text, differs);
        }
        if change.tag() != ChangeTag::Delete {
            push(&mut came, text, differs);
        }
    }
    (went, came)
}

fn push(parts: &mut Vec<DiffPart>, text: &str, differs: bool) {
    match parts.last_mut() {
        Some(last) if last.differs == differs => last.text.push_str(text),
        _ => parts.push(DiffPart { text: text.to_owned(), differs }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_differ_in_nothing() {
        assert!(blocks("a\nb\n", "a\nb\n").is_empty());
    }

    #[test]
    fn a_changed_line_marks_the_words_that_changed() {
        let blocks =
            blocks("name: a\ncommand: echo one thing\n", "name: a\ncommand: echo two thing\nmore: 1\n");
        let lines = blocks[0].unified();
        let signs: Vec<&str> = lines.iter().map(|line| line.sign).collect();
        assert_eq!(signs, [" ", "−", "+", "+"]);
        let marked: Vec<&str> =
            lines[2].parts.iter().filter(|part| part.differs).map(|part| part.text.as_str()).collect();
        assert_eq!(marked, ["two"]);
        assert_eq!((lines[3].former, lines[3].latter), (None, Some(3)));
    }

    #[test]
    fn changes_far_apart_are_blocks_of_their_own() {
        let text: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let other = text.replace("line 3\n", "first\n").replace("line 33\n", "second\n");
        let blocks = blocks(&text, &other);
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[1].at, (31, 31));
    }
}
