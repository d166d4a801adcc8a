//! Judges evidence: the pure half of a gate.
//!
//! Law: equal evidence and equal policy give an equal judgement, always. So a recorded decision can
//! be decided again, and a default policy that changes its mind gets a new [`EVALUATOR`] number.
//!
//! Called by `decide` when a probe's evidence comes in, and by everything that re-decides later.

use serde::{Deserialize, Serialize};

use crate::json::Value;

/// The version of the default policies and of the way policy values are read; recorded with every
/// decision.
pub const EVALUATOR: u32 = 1;

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
    /// What a rework is told; `None`: reason and evidence.
    pub findings: Option<Value>,
}

impl Judgement {
    /// A judgement without findings of its own.
    #[must_use]
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into(), findings: None }
    }
}
