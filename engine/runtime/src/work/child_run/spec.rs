//! What a step says of the child run that it starts.

use std::collections::BTreeMap;

use everfold_base::json::{Value, canonical};

/// The parameters of a `run` step, rendered.
pub(crate) struct ChildSpec {
    pub(crate) pipeline: String,
    pub(crate) input: Value,
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether the step ends with the child, and not with its start.
    pub(crate) waits: bool,
    /// Whether the child goes on where the parent is cancelled.
    pub(crate) leaves: bool,
}

impl ChildSpec {
    pub(crate) fn of(spec: &Value) -> Self {
        let labels = spec["labels"].as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().map_or_else(|| canonical(value), str::to_owned);
        Self {
            pipeline: spec["pipeline"].as_str().unwrap_or_default().to_owned(),
            input: spec.get("input").cloned().unwrap_or_else(|| serde_json::json!({})),
            labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
            waits: spec["wait"].as_bool().unwrap_or(true),
            leaves: spec["on_parent_cancel"].as_str() == Some("leave"),
        }
    }
}
