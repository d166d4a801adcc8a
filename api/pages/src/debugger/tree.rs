//! Two JSON values as one tree, with what was added, changed and taken away.
//!
//! What is equal on both sides is folded: a reader sees the change first and the rest on demand. The tree is a list of
//! lines with where folds open and close, so that a template draws it without recursion.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::line_diff::{LineChange, LineDifference};
use crate::visible::visible;

/// The longest text in one line, in characters; a longer one is folded.
const LINE_CHARS_MAX: usize = 160;
/// The longest text that is shown at all, in characters.
const TEXT_CHARS_MAX: usize = 6_000;
/// Lines of one text that are drawn.
const TEXT_LINES_MAX: usize = 300;
/// Changed lines that are drawn; the rest is counted.
const LINES_MAX: usize = 600;

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TreeMark {
    Added,
    Changed,
    Removed,
    Equal,
}

impl TreeMark {
    /// The sign in front of the line.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Changed => "~",
            Self::Removed => "−",
            Self::Equal => "",
        }
    }

    /// What the sign says, for those who do not see it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Equal => "unchanged",
        }
    }

    /// The end of its class.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Equal => "equal",
        }
    }
}

/// The lines of a tree, as a page has them.
#[derive(Template)]
#[template(path = "debugger/tree_lines.html")]
pub(crate) struct TreeDrawing<'a> {
    lines: &'a [TreeLine],
}

pub(crate) fn drawn(lines: &[TreeLine]) -> TreeDrawing<'_> {
    TreeDrawing { lines }
}

/// A line of the tree, or the end of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TreeLine {
    /// A fold begins.
    Open { key: String, path: String, mark: TreeMark, note: String },
    /// It ends.
    Close,
    /// A value that fits in a line.
    Leaf { key: String, mark: TreeMark, before: Option<String>, after: Option<String> },
    /// A value that needs room, line by line.
    Text { key: String, path: String, mark: TreeMark, lines: Vec<TextLine> },
    /// A part that is equal on both sides, folded.
    Equal { key: String, path: String, note: String, text: String },
    /// More lines than are drawn.
    More { count: usize },
}

/// A line of a text that was, that is, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextLine {
    pub(crate) mark: TreeMark,
    pub(crate) text: String,
}

/// A difference as REST gives it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ValueChange {
    pub(crate) path: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// A tree and how much changed in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) lines: Vec<TreeLine>,
    /// Values that were added, changed or taken away.
    pub(crate) changes: usize,
    left_out: usize,
}

impl Tree {
    /// Compares two values; `named` are the keys of maps in the order in which they are wanted first.
    pub(crate) fn of(before: &Value, after: &Value, named: &[&str]) -> Self {
        let mut tree = Self::default();
        match (parts(before), parts(after)) {
            (Some(before), Some(after)) => tree.compare_parts("", &before, &after, named),
            _plain => tree.compare("", "value", Some(before), Some(after)),
        }
        if tree.left_out > 0 {
            tree.lines.push(TreeLine::More { count: tree.left_out });
        }
        tree
    }

    /// The changes that REST found, each by its path.
    pub(crate) fn of_changes(changes: &[ValueChange]) -> Self {
        let mut tree = Self::default();
        for change in changes {
            tree.compare("", &change.path, change.before.as_ref(), change.after.as_ref());
        }
        if tree.left_out > 0 {
            tree.lines.push(TreeLine::More { count: tree.left_out });
        }
        tree
    }

    fn compare_parts(&mut self, path: &str, before: &Parts<'_>, after: &Parts<'_>, named: &[&str]) {
        let mut keys: Vec<&str> =
            named.iter().copied().filter(|key| before.has(key) || after.has(key)).collect();
        for (key, _) in after.all.iter().chain(&before.all) {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        let mut small: Vec<(&str, &Value)> = Vec::new();
        for key in keys {
            match (before.get(key), after.get(key)) {
                // Where a run stands is told step by step, whatever changed.
                (Some(one), Some(other)) if path.is_empty() && key == "steps" && one == other => {
                    self.spread(key, other);
                }
                (Some(one), Some(other))
                    if one == other && !after.is_numbered && !is_empty(other) && parts(other).is_some() =>
                {
                    self.push_equal(key, &format!("{path}.{key}"), other);
                }
                (Some(one), Some(other)) if one == other => small.push((key, other)),
                (one, other) => self.compare(path, key, one, other),
            }
        }
        self.fold_small(path, &small);
    }

    /// A list that is equal on both sides, with one fold for each of its parts.
    fn spread(&mut self, key: &str, value: &Value) {
        let (key, note) = (key.to_owned(), summary(value));
        self.lines.push(TreeLine::Open { path: key.clone(), key: key.clone(), mark: TreeMark::Equal, note });
        for (name, part) in parts(value).map(|parts| parts.all).unwrap_or_default() {
            self.push_equal(&name, &format!("{key}.{name}"), part);
        }
        self.lines.push(TreeLine::Close);
    }

    fn compare(&mut self, path: &str, key: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.lines.len() >= LINES_MAX {
            (self.changes, self.left_out) = (self.changes + 1, self.left_out + 1);
            return;
        }
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if let (Some(Some(one)), Some(Some(other))) = (before.map(parts), after.map(parts)) {
            let note = after.map(summary).unwrap_or_default();
            let key = key.to_owned();
            self.lines.push(TreeLine::Open { key, path: path.clone(), mark: TreeMark::Changed, note });
            self.compare_parts(&path, &one, &other, &[]);
            self.lines.push(TreeLine::Close);
            return;
        }
        let mark = match (before, after) {
            (None | Some(Value::Null), Some(_)) => TreeMark::Added,
            (Some(_), None | Some(Value::Null)) => TreeMark::Removed,
            _both => TreeMark::Changed,
        };
        self.changes += 1;
        if let Some((whole, is_new)) = whole(before, after) {
            self.push_whole(&path, key, whole, is_new);
            return;
        }
        let written = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(shown);
        let (before, after) = (written(before), written(after));
        let key = key.to_owned();
        let is_short = |text: &Option<String>| {
            text.as_ref().is_none_or(|text| text.chars().count() <= LINE_CHARS_MAX && !text.contains('\n'))
        };
        if is_short(&before) && is_short(&after) {
            self.push(TreeLine::Leaf { key, mark, before, after });
        } else {
            let lines = text_lines(&before.unwrap_or_default(), &after.unwrap_or_default());
            self.push(TreeLine::Text { key, path, mark, lines });
        }
    }

    /// A map that is there on one side alone, field by field: one change.
    fn push_whole(&mut self, path: &str, key: &str, value: &Value, is_new: bool) {
        let changes = self.changes;
        let mark = if is_new { TreeMark::Added } else { TreeMark::Removed };
        let (key, note) = (key.to_owned(), summary(value));
        self.lines.push(TreeLine::Open { key, path: path.to_owned(), mark, note });
        for (name, part) in parts(value).map(|parts| parts.all).unwrap_or_default() {
            if !is_empty(part) {
                let (before, after) = if is_new { (None, Some(part)) } else { (Some(part), None) };
                self.compare(path, &name, before, after);
            }
        }
        self.lines.push(TreeLine::Close);
        self.changes = changes;
    }

    /// Values that are equal and small stand in one fold, those that say something first.
    fn fold_small(&mut self, path: &str, equal: &[(&str, &Value)]) {
        let (empty, filled): (Vec<_>, Vec<_>) = equal.iter().copied().partition(|(_, value)| is_empty(value));
        let all: Vec<(&str, &Value)> = filled.into_iter().chain(empty).collect();
        if all.is_empty() {
            return;
        }
        let names: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
        let lines: Vec<String> = all.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect();
        self.push(TreeLine::Equal {
            key: format!("{} unchanged", names.len()),
            path: format!("{path}.="),
            // Places in a list say nothing.
            note: if names.iter().all(|name| name.parse::<usize>().is_ok()) {
                String::new()
            } else {
                clipped(&names.join(", "), 60)
            },
            text: lines.join("\n"),
        });
    }

    fn push_equal(&mut self, key: &str, path: &str, value: &Value) {
        let (key, path) = (key.to_owned(), path.to_owned());
        self.push(TreeLine::Equal { key, path, note: summary(value), text: shown(value) });
    }

    fn push(&mut self, line: TreeLine) {
        if self.lines.len() >= LINES_MAX {
            self.left_out += 1;
        } else {
            self.lines.push(line);
        }
    }
}

/// The value that stands on one side alone, where it is a map or a list of maps, and whether it is new.
fn whole<'a>(before: Option<&'a Value>, after: Option<&'a Value>) -> Option<(&'a Value, bool)> {
    let there = |value: Option<&'a Value>| value.filter(|value| !value.is_null());
    let (value, is_new) = match (there(before), there(after)) {
        (None, Some(value)) => (value, true),
        (Some(value), None) => (value, false),
        _both => return None,
    };
    let has_maps = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => items.iter().any(Value::is_object),
        _plain => false,
    };
    has_maps.then_some((value, is_new))
}

/// A text line by line, with three equal lines around each change.
fn text_lines(before: &str, after: &str) -> Vec<TextLine> {
    let difference = LineDifference::of(before, after, TEXT_LINES_MAX);
    let equal = |text: String| TextLine { mark: TreeMark::Equal, text };
    let mut lines = Vec::new();
    for hunk in &difference.hunks {
        if !lines.is_empty() {
            lines.push(equal("⋯".to_owned()));
        }
        lines.extend(hunk.lines.iter().map(|line| {
            let mark = match line.change {
                LineChange::Same => TreeMark::Equal,
                LineChange::Gone => TreeMark::Removed,
                LineChange::New => TreeMark::Added,
            };
            TextLine { mark, text: line.text() }
        }));
    }
    if difference.left_out > 0 {
        lines.push(equal(format!("⋯ {}", difference.left_out_words())));
    }
    lines
}

/// The parts of a map, or of a list: by `id` or `gate` where all have one, else by their place.
struct Parts<'a> {
    all: Vec<(String, &'a Value)>,
    /// Whether the keys are the places in a list, which say little.
    is_numbered: bool,
}

impl<'a> Parts<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.all.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

fn parts(value: &Value) -> Option<Parts<'_>> {
    match value {
        Value::Object(fields) => {
            let all = fields.iter().map(|(key, value)| (key.clone(), value)).collect();
            Some(Parts { all, is_numbered: false })
        }
        Value::Array(items) => {
            let named = |name: &str| -> Option<Vec<(String, &Value)>> {
                items.iter().map(|item| Some((item.get(name)?.as_str()?.to_owned(), item))).collect()
            };
            let by_name = ["id", "gate"].into_iter().filter(|_| !items.is_empty()).find_map(named);
            let is_numbered = by_name.is_none();
            let numbered = || items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect();
            Some(Parts { all: by_name.unwrap_or_else(numbered), is_numbered })
        }
        _plain => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_set) => !is_set,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

/// What is in a value, in a few words.
pub(crate) fn summary(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let of = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            match (of("status"), of("verdict")) {
                ("", "") if !of("to").is_empty() => format!("{} → {}", of("step"), of("to")),
                ("", "") => count(fields.len(), "field"),
                ("", verdict) => format!("{} {verdict}", crate::words::glyph(verdict)),
                (status, _) => match (
                    fields.get("round").and_then(Value::as_u64),
                    fields.get("attempt").and_then(Value::as_u64),
                ) {
                    (Some(round @ 1..), Some(attempt)) => {
                        format!("{} {status} {round}.{attempt}", crate::words::glyph(status))
                    }
                    _other => format!("{} {status}", crate::words::glyph(status)),
                },
            }
        }
        Value::Array(items) => count(items.len(), "item"),
        other => clipped(&shown(other), 60),
    }
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A value as a reader sees it, with control characters made visible and at most so much of it.
pub(crate) fn shown(value: &Value) -> String {
    // A short list of plain values reads better in one line.
    if let Value::Array(items) = value
        && !items.iter().any(|item| item.is_object() || item.is_array())
    {
        let line = value.to_string();
        if line.chars().count() <= LINE_CHARS_MAX / 2 {
            return visible(&line).into_owned();
        }
    }
    clipped(&visible(&crate::words::json(value)), TEXT_CHARS_MAX)
}

/// The beginning of a text, with how much more there is.
pub(crate) fn clipped(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) if max <= LINE_CHARS_MAX => format!("{}…", &text[..end]),
        Some((end, _)) => format!("{}\n… {} more characters", &text[..end], text[end..].chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf(key: &str, mark: TreeMark, before: Option<&str>, after: Option<&str>) -> TreeLine {
        TreeLine::Leaf {
            key: key.to_owned(),
            mark,
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn what_changed_stands_open_and_the_rest_is_folded() {
        let before = json!({ "status": "running", "steps": [{ "id": "a", "status": "pending" }, { "id": "b", "x": 1 }] });
        let after = json!({ "status": "running", "steps": [{ "id": "a", "status": "running" }, { "id": "b", "x": 1 }] });
        let tree = Tree::of(&before, &after, &["status", "steps"]);
        assert_eq!(tree.changes, 1);
        assert!(tree.lines.contains(&leaf("status", TreeMark::Changed, Some("pending"), Some("running"))));
        let folded = tree.lines.iter().filter(|line| matches!(line, TreeLine::Equal { .. })).count();
        assert_eq!(folded, 3, "step b, the name of step a, and the status of the run");
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let tree = Tree::of(&json!({ "output": null }), &json!({ "output": "done" }), &[]);
        assert_eq!(tree.lines, [leaf("output", TreeMark::Added, None, Some("done"))]);
        let tree = Tree::of(&json!({ "retry_at": "x" }), &json!({ "retry_at": null }), &[]);
        assert_eq!(tree.lines, [leaf("retry_at", TreeMark::Removed, Some("x"), None)]);
    }

    #[test]
    fn every_fold_that_opens_is_closed_in_a_large_tree() {
        let many =
            |x: u64| (0..2_000).map(|n| json!({ "id": format!("s{n}"), "round": x + n })).collect::<Vec<_>>();
        let tree = Tree::of(&json!({ "steps": many(0) }), &json!({ "steps": many(1) }), &[]);
        let opens = tree.lines.iter().filter(|line| matches!(line, TreeLine::Open { .. })).count();
        let closes = tree.lines.iter().filter(|line| matches!(line, TreeLine::Close)).count();
        assert_eq!(opens, closes);
        assert_eq!(tree.changes, 2_000);
    }
}
