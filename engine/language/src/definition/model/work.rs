//! What a step does.

use serde::{Deserialize, Serialize};

use super::people::{Approval, Question};
use super::reminders::Reminders;
use super::route::Routes;
use super::setting::{Setting, Span};
use crate::expr::{Expr, Template};

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Something that an executor does.
    Task(ExecutorTask),
    /// People decide.
    Approval(Approval),
    /// People answer.
    Question(Question),
    /// Time passes, or a signal is awaited.
    Wait(Wait),
}

impl Work {
    /// The word for [`Work::Approval`].
    pub(crate) const APPROVAL: &'static str = "approval";
    /// The word for [`Work::Question`].
    pub(crate) const QUESTION: &'static str = "question";
    /// The word for [`Work::Wait`].
    pub(crate) const WAIT: &'static str = "wait";
}

/// Work of an executor. The core renders `spec` and hands it on; what it means is the executor's.
///
/// Shapes of `spec` by `kind`:
/// - `command`: `{"shell": TEXT, "vars": {NAME: VALUE}}` or `{"argv": [TEXT]}`. The shell text has
///   each `${…}` of the file replaced by a quoted reference to the variable that holds its value.
/// - `agent`: `{profile?, role?, prompt?, model?, effort?, with?, session, schema?, repair?, on_invalid, on_incomplete?, args?}`.
/// - `function`: `{name, with}`.
/// - `http`: `{method, url, headers?, body?, expect, json?}`; `expect` is a list of statuses (`200`, `"2xx"`),
///   `json` asks that the answer's body is JSON.
/// - `signal`: `{name, to, payload?}`; `to` is one of `{key}`, `{labels}` and `{run}`.
/// - `run`: `{pipeline, input?, labels?, wait, on_parent_cancel}`; `pipeline` as a person names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutorTask {
    /// The executor's name: `command`, `agent`, `function`, `http`, `run`, `signal`.
    pub kind: String,
    /// Its parameters, with `${…}`.
    pub spec: Template,
}

impl ExecutorTask {
    /// A program, run in a supervised process.
    pub const COMMAND: &'static str = "command";
    /// An agent, run in a supervised process.
    pub const AGENT: &'static str = "agent";
    /// A function inside the engine's process.
    pub const FUNCTION: &'static str = "function";
    /// A request to a service.
    pub const HTTP: &'static str = "http";
    /// A child run.
    pub const RUN: &'static str = "run";
    /// A signal to other runs.
    pub const SIGNAL: &'static str = "signal";
    /// A look at what an approval shows, before people are asked. No pipeline names it.
    pub const LOOK: &'static str = "look";

    /// Whether work looks at the folder that it is given. Of functions these are `git.*`, which must never find the
    /// folder of the caller that started the run in its place; `git.ready`, and `git.free_branch` with a path, look
    /// before there is a worktree.
    pub(super) fn is_in_folder(&self) -> bool {
        let name = self.spec.source()["name"].as_str().unwrap_or_default();
        match self.kind.as_str() {
            Self::FUNCTION if name == "git.free_branch" => self.spec.source()["with"]["path"].is_null(),
            Self::FUNCTION => name.starts_with("git.") && name != "git.ready",
            // A request and a signal are the engine's own: they have no folder.
            Self::HTTP | Self::SIGNAL => false,
            _processes_and_runs => true,
        }
    }
}

/// Time passes, or a signal is awaited: exactly one of `span`, `until` and `signal` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "for")]
    pub span: Option<Setting<Span>>,
    /// Until when: RFC 3339, or a local time of `zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Template>,
    /// The time zone of a local time; `None`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Template>,
    /// The name of the signal that is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Which of those signals: over `signal`, its payload.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "match")]
    pub matches: Option<Expr>,
    /// How long the signal is waited for; `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// What follows when it did not come; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_timeout: Routes,
    /// When people are reminded of the signal; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Span>>,
}
