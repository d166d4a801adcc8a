//! What is wrong with a pipeline file, with its place.
//!
//! Law: a problem carries the line that it is about, so that it can be shown without the file.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::codes::{Code, Severity};
use everfold_base::text::is_direction;

/// One problem of a pipeline file or of a file that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The stable code: `everfold explain CODE` tells more.
    pub code: Code,
    /// Whether it refuses the file.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// Its place in bytes from the start of the file.
    pub span: Range<usize>,
    /// The line itself, or the part of a long one round the place.
    pub excerpt: String,
    /// Where the place is in the excerpt, in characters from 0.
    pub mark: usize,
}

/// All problems of a file; at least one is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{}", problem.render(Colour::Never))?;
        }
        f.write_str(&self.summary())
    }
}

impl Problems {
    /// How many there are, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let errors = self.0.iter().filter(|problem| problem.severity == Severity::Error).count();
        let warnings = self.0.len() - errors;
        let count = |number: usize, word: &str| match number {
            1 => format!("1 {word}"),
            number => format!("{number} {word}s"),
        };
        match (errors, warnings) {
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        }
    }

    /// Sorts by file and place; what stands at the same place keeps the order of the checks. A file
    /// that is wrong everywhere keeps its first 500 problems.
    pub(super) fn sort(&mut self, main: &str) {
        self.0.sort_by(|a, b| {
            (a.file != main, &a.file, a.span.start).cmp(&(b.file != main, &b.file, b.span.start))
        });
        let mut seen = HashSet::new();
        self.0.retain(|problem| {
            seen.insert((problem.file.clone(), problem.span.clone(), problem.message.clone()))
        });
        for problem in self.0.iter_mut().filter(|problem| problem.hint.is_none()) {
            problem.hint = Some(remedy(problem.code).to_owned());
        }
        if self.0.len() > PROBLEMS_MAX {
            // Errors stay before warnings, so that a refusal keeps a reason.
            self.0.sort_by_key(|problem| problem.severity);
            self.0.truncate(PROBLEMS_MAX);
        }
    }
}

/// What to do about a problem of a kind, where the check that found it knows nothing better.
fn remedy(code: Code) -> &'static str {
    match code {
        Code::Syntax => "quote texts with `: ` or a special character first, and indent with spaces",
        Code::NotHere => "write the value out",
        Code::DuplicateKey | Code::DuplicateId | Code::DuplicateStep | Code::DuplicateGate => {
            "rename one of the two, or take it out"
        }
        Code::Limit | Code::TooLarge => "make it smaller, or move a part into a file of its own",
        Code::UnknownKey => "`everfold pipeline schema` lists the keys of every construct",
        Code::MissingKey => "add the key that the message names",
        Code::Type => "docs/reference/pipeline.md shows how each value is written",
        Code::Value => "write one of the forms that the message names",
        Code::TooSmall => "give a larger value, or take the key out for its default",
        Code::Combination | Code::TwoWorks | Code::NoEffect => {
            "take out the key that the message names, or add what it belongs to"
        }
        Code::Unreachable => "take out what never happens, or give the one before it a `when`",
        Code::File => "check the path: it is relative to the pipeline file",
        Code::Schema => {
            "JSON Schema 2020-12 says what may stand there; `type` is object, array, string, number, integer, boolean or null"
        }
        Code::Pattern => {
            "patterns have no look-around and no back-references; in YAML put them in single quotes"
        }
        Code::Expression | Code::ExpressionType => {
            "`everfold explain EF0122` shows how expressions are written"
        }
        _other => "`everfold explain` and the code tell more",
    }
}

/// Whether a rendered problem has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI colours.
    Ansi,
}

impl Colour {
    fn paint(self, style: &str, text: &str) -> String {
        match self {
            Self::Never => text.to_owned(),
            Self::Ansi => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
        }
    }
}

/// Longest part of a line that is shown.
const SHOWN_CHARS_MAX: usize = 120;
/// Longest part of a line that a problem carries, on each side of its place.
const EXCERPT_BYTES_MAX: usize = 400;
/// Most problems of one file.
const PROBLEMS_MAX: usize = 500;

impl Problem {
    /// The problem with its line, a mark below the place, and the hint.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let (word, strong) = match self.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let head = colour.paint(strong, &format!("{word}[{}]", self.code));
        let rule = |text: &str| colour.paint("34", text);
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (shown, before, width) = self.shown();
        let mark = colour.paint(strong, &"^".repeat(width));
        let mut text = format!("{head}: {}\n", colour.paint("1", &self.message));
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "{margin}{} {}:{}:{}", rule("-->"), self.file, self.line, self.column);
        let _ok = writeln!(text, "{margin} {}", rule("|"));
        let _ok = writeln!(text, "{} {} {shown}", rule(&number), rule("|"));
        let _ok = writeln!(text, "{margin} {} {}{mark}", rule("|"), " ".repeat(before));
        if let Some(hint) = &self.hint {
            let _ok = writeln!(text, "{margin} {} {hint}", rule("= hint:"));
        }
        text
    }

    /// The part of the line to show, where in it the mark begins, and how long the mark is.
    fn shown(&self) -> (String, usize, usize) {
        let line: Vec<char> =
            self.excerpt.chars().map(|c| if c.is_control() || is_direction(c) { ' ' } else { c }).collect();
        let at = self.mark.min(line.len());
        let first = if at > SHOWN_CHARS_MAX - 40 { at - 40 } else { 0 };
        let last = line.len().min(first + SHOWN_CHARS_MAX);
        let mut shown: String = line[first..last].iter().collect();
        let mut before = at - first;
        if first > 0 || self.mark + 1 < self.column {
            shown.insert(0, '…');
            before += 1;
        }
        if last < line.len() {
            shown.push('…');
        }
        // A place that goes on over the next lines is marked up to the end of its first line.
        let marked = self.span.len().clamp(1, (last - at).max(1));
        let text: String = line[at..].iter().collect();
        let chars =
            text.char_indices().take_while(|(byte, _)| *byte < self.span.len()).count().clamp(1, marked);
        (shown, before, chars)
    }
}

/// A text with places: the pipeline file with those that it includes behind it, or a file that it names.
#[derive(Debug)]
pub(super) struct SourceText {
    pub(super) name: String,
    pub(super) text: String,
    lines: Vec<usize>,
    /// Where the texts of included files begin, in order, and their names.
    included: Vec<(usize, String)>,
    /// Problems made so far: their places cost time in long lines.
    problems: AtomicUsize,
}

impl SourceText {
    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn new(name: &str, text: &str) -> Arc<Self> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (name, text) = (name.to_owned(), text.to_owned());
        Arc::new(Self { name, text, lines, included: Vec::new(), problems: AtomicUsize::new(0) })
    }

    /// A text with those of files that it includes behind it: a place in it is a place in one of them.
    pub(super) fn joined<'s>(own: &Self, more: impl Iterator<Item = &'s Self>) -> Arc<Self> {
        let (mut text, mut included) = (own.text.clone(), Vec::new());
        for file in more {
            text.push('\n');
            included.push((text.len(), file.name.clone()));
            text.push_str(&file.text);
        }
        let mut joined = Self::new(&own.name, &text);
        if let Some(joined) = Arc::get_mut(&mut joined) {
            joined.included = included;
        }
        joined
    }

    /// Where the text of an included file begins.
    pub(super) fn start_of(&self, included: &str) -> usize {
        self.included.iter().find(|(_, name)| name == included).map_or(0, |(start, _)| *start)
    }

    /// The file that a place is in, and where its text begins.
    fn file_at(&self, at: usize) -> (&str, usize) {
        match self.included.partition_point(|(start, _)| *start <= at).checked_sub(1) {
            Some(index) => (&self.included[index].1, self.included[index].0),
            None => (&self.name, 0),
        }
    }

    /// A place as people read it: `FILE:LINE`.
    pub(super) fn place_name(&self, at: usize) -> String {
        format!("{}:{}", self.file_at(at).0, self.line(at))
    }

    /// Whether the place of a problem lies within a part of this text.
    pub(super) fn holds(&self, part: &Range<usize>, problem: &Problem) -> bool {
        let (file, start) = self.file_at(part.start);
        problem.file == file && part.contains(&(start + problem.span.start))
    }

    /// The same text with blanks outside `part`: what is read there keeps its places in the file.
    pub(super) fn padded(name: &str, text: &str, part: Range<usize>) -> Arc<Self> {
        let blank = |text: &str| -> String {
            text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
        };
        let padded = blank(&text[..part.start]) + &text[part.clone()] + &blank(&text[part.end..]);
        Self::new(name, &padded)
    }

    /// A problem at a place of this text.
    pub(super) fn problem(&self, code: Code, span: Range<usize>, message: impl Into<String>) -> Problem {
        let start = self.boundary(span.start);
        let (file, file_start) = self.file_at(start);
        let line = self.lines.partition_point(|first| *first <= start).max(1);
        let first = self.lines[line - 1];
        let last = self.lines.get(line).map_or(self.text.len(), |next| next - 1).max(start);
        let from = self.boundary(first.max(start.saturating_sub(EXCERPT_BYTES_MAX)));
        let to = self.boundary(last.min(start + EXCERPT_BYTES_MAX));
        let excerpt = self.text[from..to.max(start)].trim_end_matches('\r');
        let many = self.problems.fetch_add(1, Ordering::Relaxed) > 2 * PROBLEMS_MAX;
        let column = if many { 1 } else { self.text[first..start].chars().count() + 1 };
        Problem {
            code,
            severity: code.severity(),
            message: message.into(),
            hint: None,
            file: file.to_owned(),
            line: self.line(start),
            column,
            span: start - file_start..self.boundary(span.end).max(start) - file_start,
            excerpt: excerpt.to_owned(),
            mark: self.text[from..start].chars().count(),
        }
    }

    /// The line of a place in its file, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.lines.partition_point(|first| *first < self.file_at(at).1);
        self.lines.partition_point(|first| *first <= at).max(1) - before
    }

    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

impl Problem {
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn hinted(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }
}
