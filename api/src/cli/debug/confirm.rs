//! What a fork would do, which is asked before it is done.

use serde_json::Value;

use crate::text::{count, plain};

/// The question before a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForkQuestion {
    pub(super) version: u64,
    pub(super) lines: Vec<String>,
}

impl ForkQuestion {
    /// Of a run at a version, with its state there.
    pub(super) fn of(short_id: &str, version: u64, state: &Value) -> Self {
        let steps = state["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |fits: &dyn Fn(&str) -> bool| {
            let fitting = steps.iter().filter(|step| fits(step["status"].as_str().unwrap_or_default()));
            let names: Vec<String> = fitting.filter_map(|step| step["id"].as_str()).map(plain).collect();
            match names.len() {
                0 => "none".to_owned(),
                1..=12 => names.join(", "),
                many => format!("{} and {} more", names[..12].join(", "), many - 12),
            }
        };
        let has_ended = |status: &str| matches!(status, "succeeded" | "failed" | "skipped" | "cancelled");
        let lines = vec![
            format!("Fork run {short_id} at version {version}?"),
            String::new(),
            format!(
                "A new run begins with {} of this one, and goes on from there at once.",
                count(version, "event")
            ),
            format!("had ended by then   {}", of(&|status| has_ended(status))),
            format!("was open, goes on   {}", of(&|status| !has_ended(status) && status != "pending")),
            format!("had not begun       {}", of(&|status| status == "pending")),
            "This run is left as it is.".to_owned(),
            String::new(),
            "y  fork     n  leave it".to_owned(),
        ];
        Self { version, lines }
    }
}
