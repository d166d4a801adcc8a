//! A run that is about to begin: its checked input and its labels.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::refusal::Refusal;
use super::super::scope::RunScope;
use crate::input::StartOptions;
use crate::search::{self, SearchChanges};
use crate::state::RunState;
use everfold_base::id::RunId;
use everfold_base::json::Value;
use everfold_language::definition::{Definition, SecretSource, input};
use everfold_language::expr::EvalError;
use everfold_language::expr::Loaded;

/// An input with its defaults filled in.
///
/// # Errors
/// [`Refusal::InvalidInput`]
pub fn checked(definition: &Definition, given: &Value) -> Result<Value, Refusal> {
    match &definition.input {
        None => Ok(given.clone()),
        Some(schema) => input::check(schema, given)
            .map_err(|problems| Refusal::InvalidInput(problems.iter().map(ToString::to_string).collect())),
    }
}

/// A run that is about to begin.
#[derive(Debug, Clone)]
pub struct Beginning {
    state: RunState,
    input: Value,
    config: Value,
    run: Value,
}

impl Beginning {
    /// Where the pipeline's secrets come from.
    #[must_use]
    pub fn secrets(&self) -> &BTreeMap<String, SecretSource> {
        &self.state.definition().secrets
    }

    /// The secrets that the commands of `admit` get as variables.
    #[must_use]
    pub fn admit_secrets(&self) -> &[String] {
        &self.state.definition().admit.secrets
    }

    /// Schemas of the records in the settings documents.
    #[must_use]
    pub fn config_records(&self) -> &BTreeMap<String, Value> {
        &self.state.definition().config_records
    }

    /// A run with this input; its defaults are filled in.
    ///
    /// # Errors
    /// [`Refusal::InvalidInput`]
    pub fn new(state: RunState, run: RunId, title: Option<&str>, given: &Value) -> Result<Self, Refusal> {
        let input = checked(state.definition(), given)?;
        let run = json!({
            "id": run.to_string(), "short_id": run.short(), "root": run.short(), "title": title,
            "pipeline": state.pipeline(), "labels": {}, "status": "queued", "origin": null, "started_at": null,
            "outcome": null, "failure": null, "top": run.to_string(),
            "search": state.definition().search.keys().map(|name| (name.clone(), Value::Null)).collect::<Value>(),
        });
        Ok(Self { state, input, config: json!({}), run })
    }

    /// The same in a working folder.
    #[must_use]
    pub fn in_folder(mut self, cwd: Option<&str>) -> Self {
        self.state.set_folder(cwd);
        self
    }

    /// The same for a run that continues another one's history, which began with the run `root`.
    #[must_use]
    pub fn rooted(mut self, root: Option<RunId>) -> Self {
        if let Some(root) = root {
            self.run["root"] = json!(root.short());
        }
        self
    }

    /// The same for a run that a step of another one starts.
    #[must_use]
    pub fn below(mut self, options: &StartOptions) -> Self {
        if let Some(parent) = &options.parent {
            self.run["top"] = json!(options.top.unwrap_or(parent.run).to_string());
        }
        self
    }

    /// The same with its settings.
    #[must_use]
    pub fn with_config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// The same with its labels.
    #[must_use]
    pub fn with_labels(mut self, labels: &BTreeMap<String, String>) -> Self {
        self.run["labels"] = json!(labels);
        self
    }

    /// The checked input.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input
    }

    pub(super) fn definition(&self) -> &Definition {
        self.state.definition()
    }

    pub(super) fn scope<'a>(&'a self, loaded: &'a Loaded) -> RunScope<'a> {
        RunScope::run(&self.state, loaded)
            .with("input", self.input.clone())
            .with("config", self.config.clone())
            .with("run", self.run.clone())
    }

    /// The run's labels, as the pipeline has them.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed.
    pub fn labels(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let labels = self.definition().labels.iter();
        labels
            .map(|(name, template)| match template.render_text(&scope) {
                Ok(text) => Ok((name.clone(), text)),
                Err(error) => Err(failed("label", name, &error)),
            })
            .collect()
    }

    /// The values that the run is found by, as the pipeline has them.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed, or its value is not of the attribute's type.
    pub fn search(&self) -> Result<SearchChanges, Refusal> {
        let loaded = Loaded::default();
        let (scope, declared) = (self.scope(&loaded), &self.definition().search);
        let mut given = BTreeMap::new();
        for (name, attribute) in declared {
            let Some(template) = &attribute.value else { continue };
            let value = template.render(&scope).map_err(|error| failed("search attribute", name, &error))?;
            given.insert(name.clone(), value);
        }
        let fitting = search::fit(declared, &BTreeMap::new(), given.iter());
        let mut changes = fitting.map_err(|why| Refusal::Start(format!("search: {why}")))?;
        changes.retain(|_, value| value.is_some());
        Ok(changes)
    }
}

/// A start is refused because an expression of it failed.
pub(super) fn failed(what: &str, name: &str, error: &EvalError) -> Refusal {
    let code = match error {
        EvalError::Failed { code: Some(code), .. } => format!(" ({code})"),
        EvalError::Failed { code: None, .. } | EvalError::Needs(_) => String::new(),
    };
    Refusal::Start(format!("{what} “{name}”: {error}{code}"))
}
