//! What people are asked.

use serde::{Deserialize, Serialize};

use super::route::Routes;
use super::setting::{Setting, Span};
use crate::expr::{Expr, Template};
use crate::words::Vote;
use everfold_base::json::Value;

/// People decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// What is asked, in one line.
    pub title: Template,
    /// Artefacts and texts to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<Template>,
    /// Who may vote; empty: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Approvals needed.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quorum: Setting<u32>,
    /// One rejection decides.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub veto: bool,
    /// Whether the one who started the run may vote.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub self_approval: bool,
    /// Decisions that need a comment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comment: Vec<Vote>,
    /// The one value that an approver may replace, its type kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Template>,
    /// How long votes are waited for; `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// What follows when they did not suffice in time; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_timeout: Routes,
    /// How often people are reminded; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Setting<Span>>,
    /// What follows when changes are wanted; empty: that cannot be voted for.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_changes: Routes,
    /// What follows a rejection; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_reject: Routes,
}

fn one() -> Setting<u32> {
    Setting::Fixed(1)
}

fn is_one(setting: &Setting<u32>) -> bool {
    *setting == one()
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

/// People answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is asked, in one line.
    pub title: Template,
    /// What is asked, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// What may be chosen: a list of texts; `None`: nothing is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Template>,
    /// Parts that are answered one by one: a list of texts, or of `{id, text, options?, optional?}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Template>,
    /// The JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Whether an answer will do, over `answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Expr>,
    /// Who may answer; empty: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// How long an answer is waited for; `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// What follows when none came in time; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_timeout: Routes,
    /// How often people are reminded; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Setting<Span>>,
}
