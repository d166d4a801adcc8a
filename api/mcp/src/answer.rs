//! The answer of a tool: a JSON document of a bounded size.

use rmcp::model::CallToolResult;
use serde_json::{Map, Value};

use crate::fit::{fitted, without_empty};

/// The size of an answer that nothing more was asked of, in bytes.
pub(crate) const SHORT_BYTES: usize = 8 * 1024;
/// The size of an answer with `full`, in bytes.
pub(crate) const FULL_BYTES: usize = 64 * 1024;

/// The answer of a tool.
#[derive(Debug)]
pub(crate) struct ToolAnswer {
    value: Value,
    bytes_max: usize,
    is_list: bool,
}

impl ToolAnswer {
    /// A short one.
    pub(crate) fn short(value: Value) -> Self {
        Self::sized(value, false)
    }

    /// A short one, or the whole where that was asked for.
    pub(crate) fn sized(value: Value, full: bool) -> Self {
        Self { value, bytes_max: if full { FULL_BYTES } else { SHORT_BYTES }, is_list: false }
    }

    /// A list: the items of a page of a route, each shown in this way, or whole.
    pub(crate) fn list(page: &Value, full: bool, show: impl Fn(&Value) -> Value) -> Self {
        let value = if full { listed(page, Value::clone) } else { listed(page, show) };
        Self { is_list: true, ..Self::sized(value, full) }
    }

    /// As the protocol has it: as text and as a document.
    pub(crate) fn result(self) -> CallToolResult {
        CallToolResult::structured(self.into_value())
    }

    fn into_value(self) -> Value {
        let mut value = without_empty(self.value);
        // An empty list is an answer, too.
        if let Value::Object(fields) = &mut value
            && self.is_list
        {
            fields.entry("items").or_insert_with(|| Value::Array(Vec::new()));
        }
        fitted(value, self.bytes_max)
    }
}

/// These fields of a document, those that it has.
pub(crate) fn picked(document: &Value, fields: &[&str]) -> Value {
    let there = fields.iter().filter_map(|name| Some(((*name).to_owned(), document.get(name)?.clone())));
    Value::Object(there.collect::<Map<_, _>>())
}

/// The items of a list's answer, each shown in the same way, with the cursor that goes on.
fn listed(page: &Value, show: impl Fn(&Value) -> Value) -> Value {
    let items: Vec<Value> = page["items"].as_array().into_iter().flatten().map(show).collect();
    let mut list = Map::new();
    list.insert("items".to_owned(), Value::Array(items));
    for name in ["next_cursor", "filter"] {
        if let Some(value) = page.get(name).filter(|value| !value.is_null()) {
            list.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(list)
}
