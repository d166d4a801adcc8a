//! Verdicts and judgements: what judging a gate gives, and the texts of their reasons.

use serde::{Deserialize, Serialize};

use everfold_base::json::Value;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// On to the next gate.
    Pass,
    /// The gate's route is taken.
    Fail,
    /// Ask again later.
    Pending,
    /// The gate does not apply.
    Skipped,
}

impl Verdict {
    /// The word used in files, events and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Pending => "pending",
            Self::Skipped => "skipped",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What the gate says.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// The findings for a rework; `None`: reason and evidence.
    pub findings: Option<Value>,
}

impl Judgement {
    /// A judgement without findings of its own.
    #[must_use]
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into(), findings: None }
    }
}

pub(super) fn pass(reason: impl Into<String>) -> Judgement {
    Judgement::new(Verdict::Pass, reason)
}

pub(super) fn fail(reason: impl Into<String>) -> Judgement {
    Judgement::new(Verdict::Fail, reason)
}

/// A text cut to `chars_max` characters, on one line.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The texts of a list; nothing for anything else.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
