//! How an agent's program is called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use everfold_base::json::Value;
use serde::Deserialize;

use super::settings::{AgentProfile, PromptBy};
use super::{answer, profile};

/// The longest prompt that fits into one argument on Linux.
pub(super) const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;

/// How a step's program is called, but for the prompt.
pub(super) struct AgentCall {
    pub(super) profile: AgentProfile,
    pub(super) spec: Spec,
    pub(super) folder: PathBuf,
    pub(super) workdir: PathBuf,
    /// The file of the workspace that its answer is read out of, where the step declares one.
    pub(super) json_file: Option<String>,
}

/// One call of a program.
pub(super) struct Made {
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) stdin: Option<PathBuf>,
}

impl AgentCall {
    /// The model that the program is given.
    pub(super) fn model(&self) -> Option<String> {
        self.spec.model.clone().unwrap_or_else(|| self.profile.model.clone())
    }

    /// The call with this prompt, which stands in a file of the attempt's folder, in this session.
    pub(super) fn make(&self, prompt_file: &str, prompt: &str, session: Option<&str>) -> Made {
        let Self { profile, spec, .. } = self;
        let prompt_file = self.folder.join(prompt_file);
        let optional = [
            ("model", spec.model.clone().unwrap_or_else(|| profile.model.clone())),
            ("effort", spec.effort.clone().unwrap_or_else(|| profile.effort.clone())),
            ("role", spec.role.clone()),
            ("session", session.map(str::to_owned)),
            ("prompt", Some(prompt.to_owned())),
            ("prompt_file", Some(prompt_file.display().to_string())),
            ("workspace", Some(self.workdir.display().to_string())),
        ];
        let values: BTreeMap<&str, String> =
            optional.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let args = spec.args.iter().flatten().flat_map(words).collect::<Vec<String>>();
        let mut env = profile.env.clone();
        env.insert("EVERFOLD_PROMPT".to_owned(), prompt_file.display().to_string());
        for (variable, name) in
            [("EVERFOLD_ROLE", "role"), ("EVERFOLD_MODEL", "model"), ("EVERFOLD_SESSION", "session")]
        {
            env.extend(values.get(name).map(|value| (variable.to_owned(), value.clone())));
        }
        let stdin = (profile.prompt == PromptBy::Stdin).then_some(prompt_file);
        Made { argv: profile::render(profile, &values, &args), env, stdin }
    }
}

/// The executor's parameters, rendered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Spec {
    pub(super) profile: Option<String>,
    pub(super) role: Option<String>,
    pub(super) prompt: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) model: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    pub(super) effort: Option<Option<String>>,
    pub(super) with: Option<Value>,
    pub(super) session: Option<String>,
    pub(super) schema: Option<Value>,
    pub(super) repair: Option<u64>,
    pub(super) on_invalid: Option<answer::InvalidAnswerPolicy>,
    pub(super) on_incomplete: Option<answer::IncompleteAnswerPolicy>,
    pub(super) args: Option<Vec<Value>>,
}

impl Spec {
    /// Whether it goes on with a former session where there is one.
    pub(super) fn continues(&self) -> bool {
        matches!(self.session.as_deref(), Some("resume" | "carry"))
    }
}

/// A null that is said is another thing than nothing: it leaves the program's flag out.
#[allow(clippy::option_option, reason = "nothing and null are two things")]
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// An element of `args`: a list gives all of its own, null none.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(words).collect(),
        other => vec![other.to_string()],
    }
}
