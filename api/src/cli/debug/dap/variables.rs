//! Values as an editor unfolds them: a part at a time, by references that hold until it goes on.

use std::sync::Arc;

use everfold_pages::{FIELDS_APART, FIELDS_FIRST};
use serde_json::{Value, json};

use crate::cli::debug::requests::StatePair;
use crate::cli::debug::tree::{StateTree, ValueMark, parts, summary};
use crate::text::plain;

/// Parts of a value that one answer has where no number was asked for.
const PARTS_MAX: usize = 1_000;
/// Changes that are shown of one event.
const CHANGES_MAX: usize = 1_000;
/// References that are given out between two stops.
const REFERENCES_MAX: usize = 100_000;
/// The longest text of a value, in characters.
const TEXT_MAX: usize = 1_000;

/// What a reference stands for.
#[derive(Debug, Clone)]
pub(super) enum DapReference {
    /// The state after a version.
    State(u64),
    /// What the event of a version changed.
    Changed(u64),
    /// The event of a version.
    Event(u64),
    /// A part of a value.
    Part(ValuePart),
}

/// A value within another one that is kept as a whole.
#[derive(Debug, Clone)]
pub(super) struct ValuePart {
    pub(super) root: Arc<Value>,
    pointer: Vec<PartStep>,
    /// How an expression names it; empty where none does.
    name: String,
    /// It is the whole state: its fields are those that the debugger on the terminal shows, in the same order.
    is_state: bool,
}

#[derive(Debug, Clone)]
enum PartStep {
    Key(String),
    At(usize),
}

/// The references that were given out.
#[derive(Debug, Default)]
pub(super) struct ReferenceTable {
    references: Vec<DapReference>,
}

impl ReferenceTable {
    /// Those of before mean nothing any more.
    pub(super) fn clear(&mut self) {
        self.references.clear();
    }

    /// A reference; 0, which is none, where too many were given out.
    pub(super) fn give(&mut self, reference: DapReference) -> usize {
        if self.references.len() >= REFERENCES_MAX {
            return 0;
        }
        self.references.push(reference);
        self.references.len()
    }

    pub(super) fn get(&self, reference: i64) -> Option<DapReference> {
        let at = usize::try_from(reference).ok()?.checked_sub(1)?;
        self.references.get(at).cloned()
    }

    /// A part as fields of an answer: its text (`value` or `result`), type, and how to unfold it.
    pub(super) fn shown(&mut self, part: ValuePart, text_field: &str) -> Value {
        let value = part.value();
        let below = parts(Some(value)).len();
        let is_list = is_indexed(value);
        let mut answer = json!({ "type": kind_of(value), "variablesReference": 0 });
        answer[text_field] = json!(text_of(value));
        if below > 0 {
            answer[if is_list { "indexedVariables" } else { "namedVariables" }] = json!(below);
            answer["variablesReference"] = json!(self.give(DapReference::Part(part)));
        }
        answer
    }

    /// The parts of a value, some of them where they are asked for.
    pub(super) fn children(&mut self, part: &ValuePart, start: usize, count: usize) -> Vec<Value> {
        let count = if count == 0 { PARTS_MAX } else { count.min(PARTS_MAX) };
        let all = part.children();
        let left = all.len().saturating_sub(start + count);
        let mut shown: Vec<Value> = all
            .into_iter()
            .skip(start)
            .take(count)
            .map(|(key, child)| {
                let name = child.name.clone();
                let mut answer = self.shown(child, "value");
                answer["name"] = json!(plain(&key));
                if !name.is_empty() {
                    answer["evaluateName"] = json!(name);
                }
                answer
            })
            .collect();
        if left > 0 && count == PARTS_MAX {
            shown.push(json!({ "name": "…", "value": format!("{left} more"), "variablesReference": 0,
                "presentationHint": { "attributes": ["readOnly"], "kind": "virtual" } }));
        }
        shown
    }

    /// What an event changed, a variable each.
    pub(super) fn changes(&mut self, version: u64, before: Arc<Value>, after: Arc<Value>) -> Vec<Value> {
        let mut tree = StateTree::default();
        tree.show(StatePair { version, before: Arc::clone(&before), after: Arc::clone(&after) });
        let rows = tree.rows.into_iter().filter(|row| row.is_change);
        let mut shown: Vec<Value> = rows
            .take(CHANGES_MAX)
            .map(|row| {
                let root = if row.mark == ValueMark::Removed { &before } else { &after };
                let part = ValuePart::state(Arc::clone(root)).find(&row.path);
                let mut answer = match part {
                    Some(part) => self.shown(part, "value"),
                    None => json!({ "variablesReference": 0 }),
                };
                answer["name"] = json!(plain(&row.path));
                answer["value"] = json!(format!("{} {}", row.mark.sign(), row.text));
                if row.mark != ValueMark::Removed {
                    answer["evaluateName"] = json!(row.path);
                }
                answer
            })
            .collect();
        if shown.is_empty() {
            shown.push(json!({ "name": "nothing", "value": "this event changed nothing of the state",
                "variablesReference": 0 }));
        }
        shown
    }
}

impl ValuePart {
    /// A state as a whole.
    pub(super) fn state(root: Arc<Value>) -> Self {
        Self { root, pointer: Vec::new(), name: String::new(), is_state: true }
    }

    /// Another value as a whole; expressions do not reach it.
    pub(super) fn event(root: Arc<Value>) -> Self {
        Self { root, pointer: Vec::new(), name: String::new(), is_state: false }
    }

    /// The value.
    pub(super) fn value(&self) -> &Value {
        self.pointer.iter().fold(&self.root, |value, step| match step {
            PartStep::Key(key) => &value[key.as_str()],
            PartStep::At(at) => &value[*at],
        })
    }

    /// Its parts in order: their names and themselves.
    fn children(&self) -> Vec<(String, Self)> {
        let value = self.value();
        let is_list = value.is_array();
        let is_whole = self.is_state && self.pointer.is_empty();
        let has_names = self.is_state;
        let child = |(at, (key, _)): (usize, (String, &Value))| {
            let step = if is_list { PartStep::At(at) } else { PartStep::Key(key.clone()) };
            let pointer = self.pointer.iter().cloned().chain([step]).collect();
            let name = match (has_names, self.name.is_empty()) {
                (false, _) => String::new(),
                (true, true) => key.clone(),
                (true, false) => format!("{}.{key}", self.name),
            };
            (key, Self { root: Arc::clone(&self.root), pointer, name, is_state: has_names })
        };
        let mut all: Vec<(String, Self)> = parts(Some(value)).into_iter().enumerate().map(child).collect();
        if is_whole {
            all.retain(|(key, _)| !FIELDS_APART.contains(&key.as_str()));
            all.sort_by_key(|(key, _)| {
                FIELDS_FIRST.iter().position(|field| field == key).unwrap_or(FIELDS_FIRST.len())
            });
        }
        all
    }

    /// Whether its parts have numbers and no names.
    pub(super) fn is_indexed(&self) -> bool {
        is_indexed(self.value())
    }

    /// The part that a path names: `steps.build.status`, `steps[0].id`, `labels.a.b`.
    pub(super) fn find(self, path: &str) -> Option<Self> {
        let path = path.trim();
        if path.is_empty() {
            return Some(self);
        }
        // Keys may hold dots: the longest that fits goes first.
        let mut children = match self.is_state && self.pointer.is_empty() {
            true => self.whole_children(),
            false => self.children(),
        };
        children.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        let numbered = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((index, rest)) = numbered {
            let index = index.trim().trim_matches(['"', '\'']);
            let at = index.parse::<usize>().ok().filter(|_| self.value().is_array());
            let found = match at {
                Some(at) => self.at(at),
                None => children.into_iter().find(|(key, _)| key == index).map(|(_, child)| child),
            };
            return found?.find(rest.strip_prefix('.').unwrap_or(rest));
        }
        children.into_iter().find_map(|(key, child)| {
            let rest = path.strip_prefix(key.as_str())?;
            match rest.as_bytes().first() {
                None | Some(b'[') => child.find(rest),
                // A name must follow.
                Some(b'.') if rest.len() > 1 => child.find(&rest[1..]),
                Some(_other) => None,
            }
        })
    }

    fn at(&self, at: usize) -> Option<Self> {
        self.value().get(at)?;
        let pointer = self.pointer.iter().cloned().chain([PartStep::At(at)]).collect();
        let name = format!("{}[{at}]", self.name);
        Some(Self { root: Arc::clone(&self.root), pointer, name, is_state: self.is_state })
    }

    /// All fields of a state, also those that stand apart.
    fn whole_children(&self) -> Vec<(String, Self)> {
        let fields = self.value().as_object().into_iter().flatten();
        let child = |key: &String| Self {
            root: Arc::clone(&self.root),
            pointer: vec![PartStep::Key(key.clone())],
            name: key.clone(),
            is_state: true,
        };
        fields.map(|(key, _)| (key.clone(), child(key))).collect()
    }

    /// The names of its parts, for who types one.
    pub(super) fn names(&self) -> Vec<String> {
        self.children().into_iter().map(|(key, _)| key).collect()
    }
}

fn is_indexed(value: &Value) -> bool {
    value.is_array() && parts(Some(value)).first().is_none_or(|(key, _)| key == "0")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Array(_) | Value::Object(_) => summary(Some(value)),
        Value::String(text) => {
            let head: String = text.chars().take(TEXT_MAX).collect();
            let end = if head.len() < text.len() { "…" } else { "" };
            format!("{}{end}", Value::from(head))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ValuePart {
        ValuePart::state(Arc::new(json!({
            "version": 3, "input": { "list": (0..5_000).collect::<Vec<_>>(), "a.b": { "c": 1 } }, "status": "running",
            "steps": [{ "id": "build", "status": "failed" }, { "id": "build.x", "status": "pending" }],
        })))
    }

    #[test]
    fn paths_name_parts_by_id_by_number_and_by_keys_with_dots() {
        for (path, wanted) in [
            ("status", json!("running")),
            ("version", json!(3)),
            ("steps.build.status", json!("failed")),
            ("steps.build.x.status", json!("pending")),
            ("steps[1].id", json!("build.x")),
            ("steps[\"build\"].id", json!("build")),
            ("input.a.b.c", json!(1)),
            ("input.list[4999]", json!(4999)),
            ("input.list.7", json!(7)),
        ] {
            assert_eq!(state().find(path).map(|part| part.value().clone()), Some(wanted), "{path}");
        }
        for path in ["nothing", "steps.build.", "steps.buil", "input.list[5000]", "input.list[", "status.x"] {
            assert!(state().find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_large_list_is_shown_in_parts_and_what_is_left_is_counted() {
        let mut table = ReferenceTable::default();
        let list = state().find("input.list").unwrap();
        let shown = table.shown(list.clone(), "value");
        assert_eq!((&shown["indexedVariables"], &shown["type"]), (&json!(5_000), &json!("list")));
        let part = table.children(&list, 4_998, 10);
        assert_eq!(
            part.iter().map(|one| &one["value"]).collect::<Vec<_>>(),
            [&json!("4998"), &json!("4999")]
        );
        assert_eq!(part[0]["evaluateName"], "input.list.4998");
        let all = table.children(&list, 0, 0);
        assert_eq!((all.len(), &all[1_000]["value"]), (1_001, &json!("4000 more")));
    }

    #[test]
    fn references_hold_until_it_goes_on() {
        let mut table = ReferenceTable::default();
        let fields = table.children(&state(), 0, 0);
        let names: Vec<&Value> = fields.iter().map(|field| &field["name"]).collect();
        assert_eq!(names, ["status", "steps", "input"], "in the debugger's order, without what stands apart");
        let reference = fields[1]["variablesReference"].as_i64().unwrap();
        assert!(table.get(reference).is_some() && table.get(99).is_none() && table.get(-1).is_none());
        table.clear();
        assert!(table.get(reference).is_none());
    }
}
