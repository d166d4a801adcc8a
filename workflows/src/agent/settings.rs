//! What the settings say of an agent's program: `[agents.NAME]`.

use std::collections::BTreeMap;

use everfold_language::definition::OnLost;
use serde::{Deserialize, Serialize};

/// How an agent's program is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentProfile {
    /// The program and its arguments, with placeholders.
    pub command: Vec<Argument>,
    /// Added to its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How it gets the prompt.
    #[serde(default)]
    pub prompt: PromptBy,
    /// What it prints.
    #[serde(default)]
    pub output: OutputFormat,
    /// The model where the step names none.
    #[serde(default)]
    pub model: Option<String>,
    /// The effort where the step names none.
    #[serde(default)]
    pub effort: Option<String>,
    /// What follows when it vanished, where the step does not say.
    #[serde(default)]
    pub on_lost: Option<OnLost>,
}

/// An argument, or a group that is left out when a placeholder in it has no value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// One argument.
    One(String),
    /// A flag with its value.
    Group(Vec<String>),
}

/// How an agent gets its prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptBy {
    /// On standard input.
    #[default]
    Stdin,
    /// As a file; its path is in `EVERFOLD_PROMPT` and `{prompt_file}`.
    File,
    /// As the argument `{prompt}`.
    Argument,
}

/// What an agent prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// Its answer.
    #[default]
    Text,
    /// Its answer as JSON, perhaps after other lines.
    Json,
    /// The `stream-json` of Claude Code.
    Claude,
    /// The JSON lines of `codex exec`.
    Codex,
}
