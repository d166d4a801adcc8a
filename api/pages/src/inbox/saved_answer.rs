//! The parts of an answer that people saved, and whether a form was made before they did.

use serde_json::Value;

use super::draft::holds_other;
use super::task::{Asks, QuestionItem, Task};
use crate::form::Fields;

/// A question with what is saved of its answer.
pub(super) struct SavedAnswer<'a> {
    items: &'a [QuestionItem],
    draft: &'a Value,
}

impl<'a> SavedAnswer<'a> {
    /// That of a task; none where it asks no question.
    pub(super) fn of(task: &'a Task) -> Option<Self> {
        let Asks::Question { terms, draft, .. } = &task.asks else { return None };
        Some(Self { items: terms.items.as_deref().unwrap_or_default(), draft })
    }

    /// The parts of the question.
    pub(super) fn items(&self) -> &'a [QuestionItem] {
        self.items
    }

    /// `choice` or `text`.
    pub(super) fn part(&self, name: &str) -> String {
        shown(self.draft.get(name))
    }

    /// The answer to an item.
    pub(super) fn item(&self, id: &str) -> String {
        shown(self.draft.get("items").and_then(|items| items.get(id)))
    }

    /// What stands in the place of an answer to an item: `resolved` or `dismissed`, else `open`.
    pub(super) fn state(&self, id: &str) -> &'a str {
        let state = self.draft.get("states").and_then(|states| states.get(id)).and_then(Value::as_str);
        state.filter(|state| matches!(*state, "resolved" | "dismissed")).unwrap_or("open")
    }

    /// The parts that are other ones now than those that the form was made with.
    pub(super) fn changed_since(&self, fields: &Fields) -> Vec<String> {
        let mut changed = Vec::new();
        for (name, words) in [("choice", "the choice"), ("text", "the answer in words")] {
            if holds_other(fields, name, &self.part(name)) {
                changed.push(words.to_owned());
            }
        }
        for (number, item) in self.items.iter().enumerate() {
            let is_other = holds_other(fields, &format!("item.{number}"), &self.item(&item.id))
                || holds_other(fields, &format!("state.{number}"), self.state(&item.id));
            if is_other {
                changed.push(item.text.clone());
            }
        }
        changed
    }
}

fn shown(part: Option<&Value>) -> String {
    part.filter(|part| !part.is_null()).map(crate::words::json).unwrap_or_default()
}
