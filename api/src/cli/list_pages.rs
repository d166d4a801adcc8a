//! Lists over REST, read part by part.

use serde_json::{Value, json};

use super::context::CommandContext;
use super::output::note;
use crate::client::encode;
use crate::fault::Fault;

/// Items that one request asks for, at most.
const PART: usize = 1_000;

/// Items of a list, from its begin or a cursor on.
pub(super) struct ListedItems {
    pub(super) items: Vec<Value>,
    next_cursor: Option<String>,
    /// What the parts say of the expression that was asked; null: none was.
    filter: Value,
    /// How many rows were sorted, in the order of a field; else null.
    sort: Value,
}

impl ListedItems {
    /// Reads parts until so many items are there, or the list ends; `path` may have parameters.
    pub(super) async fn read(
        context: &CommandContext,
        path: &str,
        from: Option<String>,
        wanted: usize,
    ) -> Result<Self, Fault> {
        let mut list = Self { items: Vec::new(), next_cursor: from, filter: Value::Null, sort: Value::Null };
        let sign = if path.contains('?') { '&' } else { '?' };
        loop {
            let limit = wanted.saturating_sub(list.items.len()).min(PART);
            let next = list.next_cursor.as_deref().map(|cursor| format!("&cursor={}", encode(cursor)));
            let asked = format!("{path}{sign}limit={limit}{}", next.unwrap_or_default());
            list.add(context.client.get(&asked).await?);
            if list.next_cursor.is_none() || list.items.len() >= wanted {
                return Ok(list);
            }
        }
    }

    fn add(&mut self, mut part: Value) {
        if let Value::Array(more) = part["items"].take() {
            self.items.extend(more);
        }
        self.next_cursor = part["next_cursor"].as_str().map(str::to_owned);
        self.sort = part["sort"].take();
        let part = part["filter"].take();
        let before = std::mem::replace(&mut self.filter, part.clone());
        if before.is_null() || part.is_null() {
            return;
        }
        // Rows are counted together, and the last part says whether there may be more.
        let sum = |path: &str| {
            let count = |of: &Value| of.pointer(path).and_then(Value::as_u64).unwrap_or(0);
            count(&before) + count(&part)
        };
        self.filter["looked_at"] = sum("/looked_at").into();
        if let Some(why) = before.pointer("/undecided/why").or(part.pointer("/undecided/why")) {
            self.filter["undecided"] = json!({ "rows": sum("/undecided/rows"), "why": why });
        }
    }

    /// The list as one answer.
    pub(super) fn json(&self) -> Value {
        let mut answer = json!({ "items": self.items, "next_cursor": self.next_cursor });
        if !self.filter.is_null() {
            answer["filter"] = self.filter.clone();
        }
        if !self.sort.is_null() {
            answer["sort"] = self.sort.clone();
        }
        answer
    }

    /// Says how many rows are left out because the expression says nothing of them.
    pub(super) fn say_undecided(&self, rows: &str) {
        let undecided = &self.filter["undecided"];
        if let (Some(number), Some(why)) = (undecided["rows"].as_u64(), undecided["why"].as_str()) {
            note(format!(
                "{number} {rows} are left out, of which the filter is neither true nor false: {why}"
            ));
        }
    }

    /// Says that not all rows were sorted that may fit.
    pub(super) fn say_sorted(&self, rows: &str) {
        if self.sort["complete"] == false {
            let newest = &self.sort["looked_at"];
            note(format!(
                "only the newest {newest} of the {rows} that may fit are sorted: ask for fewer, as with --since"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_filtered_list_are_counted_together() {
        let mut list =
            ListedItems { items: Vec::new(), next_cursor: None, filter: Value::Null, sort: Value::Null };
        let part = |undecided: Value, cursor: Value| {
            json!({
                "items": [1], "next_cursor": cursor,
                "filter": { "by_index": [], "looked_at": 10, "more": !cursor.is_null(), "undecided": undecided },
            })
        };
        list.add(part(Value::Null, json!("a")));
        list.add(part(json!({ "rows": 2, "why": "first" }), json!("b")));
        list.add(part(json!({ "rows": 3, "why": "second" }), Value::Null));
        assert_eq!(
            list.json(),
            json!({
                "items": [1, 1, 1], "next_cursor": null,
                "filter": { "by_index": [], "looked_at": 30, "more": false, "undecided": { "rows": 5, "why": "first" } },
            })
        );
        let mut plain =
            ListedItems { items: Vec::new(), next_cursor: None, filter: Value::Null, sort: Value::Null };
        plain.add(json!({ "items": [], "next_cursor": null }));
        assert_eq!(plain.json(), json!({ "items": [], "next_cursor": null }));
        let sort = json!({ "looked_at": 20, "complete": true });
        plain.add(json!({ "items": [2], "next_cursor": null, "sort": sort }));
        assert_eq!(plain.json(), json!({ "items": [2], "next_cursor": null, "sort": sort }));
    }
}
