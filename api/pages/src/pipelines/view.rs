//! A pipeline and its versions, as REST tells them.

use serde::Deserialize;
use serde_json::Value;

use crate::frame::{Visit, with_query};
use crate::pipelines::{pipeline_path, segment};
use crate::problem::Problem;

/// A part of a list of REST.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RestList<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

impl<T> Default for RestList<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next_cursor: None }
    }
}

/// A pipeline; `text` and `document` are not in lists.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PipelineView {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) origin: String,
    pub(crate) version: Option<u32>,
    pub(crate) hash: String,
    #[serde(default)]
    pub(crate) input: Value,
    #[serde(default)]
    pub(crate) steps: Vec<StepOfPlan>,
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) document: Value,
}

/// A step before it runs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StepOfPlan {
    pub(crate) id: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    #[serde(default)]
    pub(crate) gates: Vec<String>,
}

/// A saved version.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct VersionView {
    pub(crate) n: u32,
    pub(crate) hash: String,
    pub(crate) saved_at: String,
    pub(crate) saved_by: String,
}

impl VersionView {
    /// As much of the hash as tells versions apart.
    pub(crate) fn short_hash(&self) -> &str {
        first_digits(&self.hash)
    }
}

impl PipelineView {
    /// Reads a pipeline by `NAME`, `NAME@N` or `NAME@HASH`.
    pub(crate) async fn load(visit: &Visit, name: &str) -> Result<Self, Problem> {
        visit.rest.get(&format!("/pipelines/{}", segment(name))).await
    }

    /// `@3`, or where it comes from.
    pub(crate) fn version_word(&self) -> String {
        match (self.version, self.origin.as_str()) {
            (Some(version), _) => format!("@{version}"),
            (None, "built_in") => "built-in".to_owned(),
            (None, origin) => origin.replace('_', " "),
        }
    }

    /// As much of the hash as tells versions apart.
    pub(crate) fn short_hash(&self) -> &str {
        first_digits(&self.hash)
    }

    /// The address of its page, or of one below it.
    pub(crate) fn path(&self, below: &str) -> String {
        pipeline_path(&self.name, below)
    }

    /// The address of one of its versions.
    pub(crate) fn version_path(&self, version: &u32) -> String {
        pipeline_path(&format!("{}@{version}", self.name), "")
    }

    /// The address of the form that starts it: of this version where it is not the newest.
    pub(crate) fn start_path(&self, newest: &Option<u32>) -> String {
        match (newest, self.version) {
            (Some(_), Some(version)) => pipeline_path(&format!("{}@{version}", self.name), "/start"),
            _ => self.path("/start"),
        }
    }

    /// The address of the form that adds a schedule for it.
    pub(crate) fn add_schedule_path(&self) -> String {
        with_query("/schedules/new", "pipeline", &self.name)
    }

    /// Its definition as it was saved, or else as the canonical document says it.
    pub(crate) fn definition(&self) -> String {
        match &self.text {
            Some(text) => text.clone(),
            None => serde_json::to_string_pretty(&self.document).unwrap_or_default(),
        }
    }

    /// Its definition with all its signs to be seen.
    pub(crate) fn shown_definition(&self) -> String {
        crate::visible::visible(&self.definition()).into_owned()
    }

    /// The names of the secrets that it asks for, never what they are.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let secrets = self.document.get("secrets").and_then(Value::as_object);
        secrets.map(|secrets| secrets.keys().map(String::as_str).collect()).unwrap_or_default()
    }
}

fn first_digits(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
