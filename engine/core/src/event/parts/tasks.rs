//! What events of tasks are made of: the terms of approvals and questions. Frozen with them.

use serde::{Deserialize, Serialize};

use everfold_base::json::JsonText;
use everfold_language::definition::Vote;

/// Which roles may answer an approval, and what decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// The roles that may vote; empty: every role.
    pub roles: Vec<String>,
    /// Approvals needed.
    pub quorum: u32,
    /// One rejection decides.
    pub veto: bool,
    /// Whether the actor that started the run may vote.
    pub self_approval: bool,
    /// Decisions that need a comment.
    pub comment: Vec<Vote>,
    /// Changes may be asked for.
    pub changes: bool,
    /// How often people are reminded, in milliseconds.
    pub remind_ms: Option<u64>,
}

/// A remark on a place of what was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// What it is about: a path or name as shown.
    pub on: Option<String>,
    /// BLAKE3 of the text that was shown, where it is a file's: the remark stays with that text.
    pub shown: Option<String>,
    /// The first line that it is about, 1-based.
    pub line: Option<u32>,
    /// The words that it is about.
    pub quote: Option<String>,
    /// What is said.
    pub text: String,
}

/// What asks people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// A `question` step.
    Step,
    /// The work of a step, in the middle of it.
    Work,
}

/// A question, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionTerms {
    /// What asks.
    pub by: AskedBy,
    /// What may be chosen; empty: nothing is.
    pub options: Vec<String>,
    /// Parts that are answered one by one: `[{id, text, options, optional?}]`.
    pub items: Option<JsonText>,
    /// The roles that may answer; empty: every role.
    pub roles: Vec<String>,
    /// How often people are reminded, in milliseconds.
    pub remind_ms: Option<u64>,
}
