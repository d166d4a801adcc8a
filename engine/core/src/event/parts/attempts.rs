//! What events of attempts are made of. Frozen with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use everfold_base::time::Timestamp;
use everfold_language::definition::FinishStatus;

/// Why an attempt was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A rework reset its step.
    Rework,
    /// The run was cancelled.
    Cancel,
    /// The run failed or was finished elsewhere.
    RunEnded,
    /// Its time limit passed.
    Timeout,
    /// A person cancelled its step.
    Person,
    /// A budget is used up.
    Budget,
    /// A signal interrupted it.
    Signal,
    /// The deadline of its round passed.
    Deadline,
    /// The run that started a child without waiting for it was cancelled; the attempt itself had ended.
    Parent,
}

/// What work said beside its output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNotes {
    /// Added to the run's labels.
    pub labels: BTreeMap<String, String>,
    /// For readers.
    pub note: Option<String>,
    /// A code of its own for how it ended.
    pub code: Option<String>,
}

impl AttemptNotes {
    /// Whether it said nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a child run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// As what.
    pub status: FinishStatus,
    /// When.
    pub at: Timestamp,
}
