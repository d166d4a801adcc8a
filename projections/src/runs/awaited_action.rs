//! What a run waits for people to do.

use serde::{Deserialize, Serialize};

/// An action of a person that a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AwaitedAction {
    /// The step, or an item of it.
    pub step: String,
    /// Which action.
    pub kind: AwaitedActionKind,
    /// Who may; empty: anyone.
    pub roles: Vec<String>,
}

/// Which action is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitedActionKind {
    /// A vote.
    Approval,
    /// An answer.
    Question,
    /// A decision on a blocked step.
    Unblock,
}
