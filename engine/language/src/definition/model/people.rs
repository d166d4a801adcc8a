//! What people are asked.

use serde::{Deserialize, Serialize};

use super::reminders::Reminders;
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
    /// Files and texts to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<Shown>,
    /// Whether the commit of the workspace is shown, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub commit: bool,
    /// Whether approvals of a former round count on where nothing that is shown has changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_unchanged: bool,
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
    /// When people are reminded; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Setting<Span>>>,
    /// What follows when changes are wanted; empty: that cannot be voted for.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_changes: Routes,
    /// What follows a rejection; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_reject: Routes,
}

impl Approval {
    /// Whether it may show something of the workspace: a file, or the commit.
    #[must_use]
    pub fn may_show_bytes(&self) -> bool {
        self.commit
            || self.show.iter().any(|shown| match shown {
                Shown::File { .. } => true,
                Shown::Text(text) => {
                    !text.references().is_empty() || text.source().as_str().is_some_and(may_be_path)
                }
            })
    }
}

/// One thing that an approval shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// A file of the workspace, there or not.
    File {
        /// Its path.
        file: Template,
    },
    /// A text; where it is the path of a file of the workspace, that file.
    Text(Template),
}

impl Shown {
    /// The text or the path.
    #[must_use]
    pub fn template(&self) -> &Template {
        match self {
            Self::File { file } => file,
            Self::Text(text) => text,
        }
    }
}

/// The longest text that may be a path.
const PATH_BYTES_MAX: usize = 1_024;

/// Whether a text that is shown may be the path of a file: it has a `.` or a `/`, and no blanks.
#[must_use]
pub fn may_be_path(text: &str) -> bool {
    let is_odd = |found: char| found.is_whitespace() || found.is_control();
    text.len() <= PATH_BYTES_MAX
        && text.contains(['/', '.'])
        && text.contains(char::is_alphanumeric)
        && !text.contains("://")
        && !text.contains(is_odd)
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
    /// When people are reminded; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Setting<Span>>>,
}
