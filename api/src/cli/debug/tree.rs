//! The state of a run as a tree of rows, with what became of each value since the version before.
//!
//! What changed stands open, everything else is folded, until a key opens or closes it.

use std::collections::{BTreeMap, BTreeSet};

use everfold_pages::{FIELDS_APART, FIELDS_FIRST};
use serde_json::Value;

use super::requests::StatePair;
use crate::text::plain;

/// Rows that are made; the rest is counted.
const ROWS_MAX: usize = 5_000;
/// The longest text of a row, in characters; a longer one opens to its lines.
const TEXT_MAX: usize = 300;
/// Lines of one text that are shown.
const LINES_MAX: usize = 300;
/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueMark {
    Same,
    Added,
    Changed,
    Removed,
}

impl ValueMark {
    /// The sign in front of the row.
    pub(super) fn sign(self) -> char {
        match self {
            Self::Same => ' ',
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '−',
        }
    }
}

/// Whether more stands below a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFold {
    Leaf,
    Open,
    Closed,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeRow {
    /// Where the value stands: `steps.build.status`.
    pub(super) path: String,
    pub(super) depth: usize,
    pub(super) key: String,
    pub(super) text: String,
    pub(super) mark: ValueMark,
    pub(super) fold: RowFold,
    /// The value itself changed, neither only something below it nor all of what it stands in.
    pub(super) is_change: bool,
}

/// The tree, with what was opened and closed by hand.
#[derive(Debug, Default)]
pub(super) struct StateTree {
    pair: Option<StatePair>,
    pub(super) rows: Vec<TreeRow>,
    pub(super) cursor: usize,
    folds: BTreeMap<String, bool>,
}

impl StateTree {
    /// Shows another version; the first change is chosen, else the row that was.
    pub(super) fn show(&mut self, pair: StatePair) {
        self.pair = Some(pair);
        self.build(None);
        if let Some(first) = self.rows.iter().position(|row| row.is_change) {
            self.cursor = first;
        }
    }

    /// The version that it shows.
    pub(super) fn version(&self) -> Option<u64> {
        self.pair.as_ref().map(|pair| pair.version)
    }

    /// The state that it shows.
    pub(super) fn state(&self) -> Option<&Value> {
        self.pair.as_ref().map(|pair| &*pair.after)
    }

    /// How many values changed.
    pub(super) fn changes(&self) -> usize {
        self.rows.iter().filter(|row| row.is_change).count()
    }

    /// Opens or closes the chosen row.
    pub(super) fn toggle(&mut self) {
        let Some(row) = self.rows.get(self.cursor).filter(|row| row.fold != RowFold::Leaf) else { return };
        let path = row.path.clone();
        self.folds.insert(path.clone(), row.fold == RowFold::Closed);
        self.build(Some(path));
    }

    /// Chooses another row, so many further.
    pub(super) fn step(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.rows.len().saturating_sub(1));
    }

    /// Goes to the next or previous change, from one end on to the other; whether there is one.
    pub(super) fn go_to_change(&mut self, is_forward: bool) -> bool {
        // Folds that were closed by hand must not hide it.
        self.folds.retain(|_, is_open| *is_open);
        let path = self.rows.get(self.cursor).map(|row| row.path.clone());
        self.build(path);
        let changes: Vec<usize> = (0..self.rows.len()).filter(|at| self.rows[*at].is_change).collect();
        let next = match is_forward {
            true => changes.iter().find(|at| **at > self.cursor).or(changes.first()),
            false => changes.iter().rev().find(|at| **at < self.cursor).or(changes.last()),
        };
        self.cursor = next.copied().unwrap_or(self.cursor);
        next.is_some()
    }

    fn build(&mut self, chosen: Option<String>) {
        let chosen = chosen.or_else(|| self.rows.get(self.cursor).map(|row| row.path.clone()));
        let Some(pair) = &self.pair else { return };
        let mut rows = TreeRows { rows: Vec::new(), left_out: 0, is_within: false, folds: &self.folds };
        rows.children("", 0, Some(&pair.before), Some(&pair.after));
        let TreeRows { mut rows, left_out, .. } = rows;
        if left_out > 0 {
            let text = format!("{left_out} more rows");
            rows.push(TreeRow {
                path: "…".to_owned(),
                depth: 0,
                key: "…".to_owned(),
                text,
                mark: ValueMark::Same,
                fold: RowFold::Leaf,
                is_change: false,
            });
        }
        self.rows = rows;
        let at = chosen.and_then(|path| self.rows.iter().position(|row| row.path == path));
        self.cursor = at.unwrap_or(self.cursor).min(self.rows.len().saturating_sub(1));
    }
}

struct TreeRows<'a> {
    rows: Vec<TreeRow>,
    left_out: usize,
    /// What stands around is new or gone as a whole.
    is_within: bool,
    folds: &'a BTreeMap<String, bool>,
}

impl TreeRows<'_> {
    fn children(&mut self, path: &str, depth: usize, before: Option<&Value>, after: Option<&Value>) {
        let (old, new) = (parts(before), parts(after));
        let (old_by, new_by) = (by_key(&old), by_key(&new));
        let mut keys: Vec<&str> = new.iter().map(|(key, _)| key.as_str()).collect();
        keys.extend(old.iter().map(|(key, _)| key.as_str()).filter(|key| !new_by.contains_key(key)));
        if path.is_empty() {
            keys.retain(|key| !FIELDS_APART.contains(key));
            keys.sort_by_key(|key| {
                FIELDS_FIRST.iter().position(|field| field == key).unwrap_or(FIELDS_FIRST.len())
            });
        }
        let is_small = |key: &&str| {
            let (old, new) = (there(old_by.get(key).copied()), there(new_by.get(key).copied()));
            old == new && parts(new).is_empty() && text_lines(new).is_empty()
        };
        // Beside what changed the plain values that did not stand in one fold.
        let (mut small, others): (Vec<&str>, Vec<&str>) = match before != after {
            true => keys.iter().partition(|key| is_small(key)),
            false => (Vec::new(), keys.clone()),
        };
        let fold = format!("{path}.=");
        let is_folded = small.len() > 1 && self.folds.get(&fold) != Some(&true);
        if small.len() < 2 {
            small.clear();
        } else {
            keys = others;
        }
        for key in keys {
            let below = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            self.value(below, (key, depth), old_by.get(key).copied(), new_by.get(key).copied());
        }
        if small.is_empty() || self.rows.len() >= ROWS_MAX {
            return;
        }
        self.rows.push(TreeRow {
            path: fold,
            depth,
            key: format!("{} unchanged", small.len()),
            text: plain(&small.join(", ")),
            mark: ValueMark::Same,
            fold: if is_folded { RowFold::Closed } else { RowFold::Open },
            is_change: false,
        });
        for key in small.iter().filter(|_| !is_folded) {
            let below = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
            self.value(below, (key, depth + 1), old_by.get(key).copied(), new_by.get(key).copied());
        }
    }

    fn value(
        &mut self,
        path: String,
        (key, depth): (&str, usize),
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        if self.rows.len() >= ROWS_MAX {
            self.left_out += 1;
            return;
        }
        let (before, after) = (there(before), there(after));
        let mark = match (before, after) {
            (None, None) => ValueMark::Same,
            (None, Some(_)) => ValueMark::Added,
            (Some(_), None) => ValueMark::Removed,
            (Some(one), Some(other)) if one == other => ValueMark::Same,
            _both => ValueMark::Changed,
        };
        let has_parts = |value: Option<&Value>| value.is_some_and(|value| !parts(Some(value)).is_empty());
        let is_alike = matches!(
            (before, after),
            (Some(Value::Array(_)), Some(Value::Array(_))) | (Some(Value::Object(_)), Some(Value::Object(_)))
        );
        let is_branch = match mark {
            // A map that took the place of a text is told as one change.
            ValueMark::Changed => is_alike,
            _one_side => has_parts(after.or(before)),
        };
        let texts: Vec<Vec<String>> = [before, after].into_iter().map(text_lines).collect();
        let is_text = !is_branch && texts.iter().any(|lines| !lines.is_empty());
        let fold = match (is_branch || is_text, self.folds.get(&path)) {
            (false, _) => RowFold::Leaf,
            (true, Some(true)) => RowFold::Open,
            (true, Some(false)) => RowFold::Closed,
            (true, None) if mark != ValueMark::Same && is_branch => RowFold::Open,
            (true, None) => RowFold::Closed,
        };
        let text = match (mark, is_branch) {
            (_, true) => summary(after.or(before)),
            (ValueMark::Changed, false) => format!("{} → {}", short(before), short(after)),
            (ValueMark::Removed, false) => short(before),
            (_, false) => short(after),
        };
        let is_open = fold == RowFold::Open;
        let is_whole = matches!(mark, ValueMark::Added | ValueMark::Removed);
        let is_change = !self.is_within && (is_whole || mark == ValueMark::Changed && !is_branch);
        self.rows.push(TreeRow { path: path.clone(), depth, key: plain(key), text, mark, fold, is_change });
        if is_open && is_branch {
            let around = self.is_within;
            self.is_within |= is_whole;
            self.children(&path, depth + 1, before, after);
            self.is_within = around;
        } else if is_open {
            self.text(&path, depth + 1, mark, &texts);
        }
    }

    /// The lines of a long text; of one that changed those before and those after.
    fn text(&mut self, path: &str, depth: usize, mark: ValueMark, texts: &[Vec<String>]) {
        let sides = match mark {
            ValueMark::Same => vec![(ValueMark::Same, &texts[1])],
            _changed => vec![(ValueMark::Removed, &texts[0]), (ValueMark::Added, &texts[1])],
        };
        for (mark, lines) in sides {
            for (at, line) in lines.iter().take(LINES_MAX).enumerate() {
                self.rows.push(TreeRow {
                    path: format!("{path}#{}{at}", mark.sign()),
                    depth,
                    key: String::new(),
                    text: line.clone(),
                    mark,
                    fold: RowFold::Leaf,
                    is_change: false,
                });
            }
        }
    }
}

fn by_key<'a>(parts: &'a [(String, &'a Value)]) -> BTreeMap<&'a str, &'a Value> {
    parts.iter().map(|(key, value)| (key.as_str(), *value)).collect()
}

/// A value that is there: null is as good as absent.
fn there(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

/// The parts of a map, or of a list: by `id`, `gate` or `step` where each has one of its own, else by their place.
pub(super) fn parts(value: Option<&Value>) -> Vec<(String, &Value)> {
    match value {
        Some(Value::Object(fields)) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Some(Value::Array(items)) => {
            // What is gone from a list does not change those behind it, where they have names of their own.
            let named = |name: &str| -> Option<Vec<(String, &Value)>> {
                let mut seen = BTreeSet::new();
                let part = |item| -> Option<(String, _)> {
                    let name = Value::get(item, name)?.as_str()?;
                    seen.insert(name).then(|| (name.to_owned(), item))
                };
                items.iter().map(part).collect()
            };
            let numbered = || items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect();
            ["id", "gate", "step"].into_iter().find_map(named).unwrap_or_else(numbered)
        }
        _plain => Vec::new(),
    }
}

/// What is in a value, in a few words.
pub(super) fn summary(value: Option<&Value>) -> String {
    let count = |number: usize, thing: &str| crate::text::count(number as u64, thing);
    match value {
        Some(Value::Object(fields)) => {
            let of = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let number = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
            match (of("status"), of("verdict")) {
                ("", "") => count(fields.len(), "field"),
                ("", verdict) => plain(verdict),
                (status, _) if number("round") > 0 => {
                    plain(&format!("{status} {}.{}", number("round"), number("attempt")))
                }
                (status, _) => plain(status),
            }
        }
        Some(Value::Array(items)) => count(items.len(), "item"),
        other => short(other),
    }
}

/// A value in one line.
fn short(value: Option<&Value>) -> String {
    let Some(value) = value else { return "null".to_owned() };
    let text = match value {
        Value::String(text) => {
            let head: String = text.chars().take(TEXT_MAX + 1).collect();
            Value::from(head).to_string()
        }
        other => other.to_string(),
    };
    let text = plain(&text);
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The lines of a text that is long or has several; none of another value.
fn text_lines(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) if text.trim_end().contains('\n') || text.chars().count() > TEXT_MAX => {
            text.lines().map(|line| plain(&line.replace('\t', "    "))).collect()
        }
        _short => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn tree(before: Value, after: Value) -> StateTree {
        let mut tree = StateTree::default();
        tree.show(StatePair { version: 2, before: Arc::new(before), after: Arc::new(after) });
        tree
    }

    fn lines(tree: &StateTree) -> Vec<String> {
        let line =
            |row: &TreeRow| format!("{}{}{}: {}", row.mark.sign(), " ".repeat(row.depth), row.key, row.text);
        tree.rows.iter().map(line).collect()
    }

    #[test]
    fn what_changed_stands_open_and_the_rest_is_folded() {
        let step = |id: &str, status: &str| json!({ "id": id, "status": status, "gates": [], "note": null });
        let mut tree = tree(
            json!({ "version": 1, "status": "running", "steps": [step("a", "pending"), step("b", "pending")] }),
            json!({ "version": 2, "status": "running", "steps": [step("a", "running"), step("b", "pending")],
                "output": { "x": 1 } }),
        );
        assert_eq!(
            lines(&tree),
            [
                " status: \"running\"",
                "~steps: 2 items",
                "~ a: running",
                "~  status: \"pending\" → \"running\"",
                "   3 unchanged: gates, id, note",
                "  b: pending",
                "+output: 1 field",
                "+ x: 1",
            ]
        );
        assert_eq!((tree.changes(), tree.cursor), (2, 3));
        assert!(tree.go_to_change(true));
        assert_eq!(tree.rows[tree.cursor].path, "output");
        tree.toggle();
        assert_eq!(tree.rows.len(), 7, "output is folded");
        assert!(tree.go_to_change(true));
        assert_eq!(tree.rows[tree.cursor].path, "steps.a.status", "from the last one to the first");
    }

    #[test]
    fn what_is_gone_from_a_list_does_not_change_those_behind_it() {
        let awaits = |steps: &[&str]| -> Value {
            steps.iter().map(|step| json!({ "step": step, "kind": "timer" })).collect()
        };
        let tree =
            tree(json!({ "awaits": awaits(&["a", "b", "c"]) }), json!({ "awaits": awaits(&["b", "c"]) }));
        assert_eq!(
            lines(&tree),
            [
                "~awaits: 2 items",
                "  b: 2 fields",
                "  c: 2 fields",
                "− a: 2 fields",
                "−  kind: \"timer\"",
                "−  step: \"a\""
            ]
        );
    }

    #[test]
    fn a_long_text_opens_to_its_lines_and_does_nothing_to_a_terminal() {
        let text = |word: &str| json!({ "output": format!("one\n\u{1b}[2J{word}\u{202e}\n") });
        let mut tree = tree(text("two"), text("three"));
        assert_eq!(tree.rows[0].fold, RowFold::Closed);
        tree.toggle();
        assert_eq!(lines(&tree)[1..], ["− : one", "− : two", "+ : one", "+ : three"]);
        assert!(tree.rows.iter().all(|row| !row.text.contains(['\u{1b}', '\u{202e}', '\n'])));
    }

    #[test]
    fn a_state_of_many_values_is_bounded() {
        let many = json!({ "output": (0..20_000).collect::<Vec<u32>>() });
        let tree = tree(json!({}), many);
        assert!(tree.rows.len() <= ROWS_MAX + 1);
        assert_eq!(tree.rows.last().unwrap().text, "15001 more rows");
    }
}
