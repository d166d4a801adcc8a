//! Bodies of `/pipelines`.

use std::collections::BTreeMap;

use everfold_engine::definition::{Definition, DefinitionSummary};
use everfold_engine::json::Hash;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// A pipeline as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PipelineView {
    /// Its name.
    pub name: String,
    /// For readers.
    pub description: String,
    /// Where it comes from: `saved`, `built_in` or `file`.
    pub origin: String,
    /// The number of the saved version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Its identity.
    pub hash: String,
    /// The JSON Schema of its input.
    pub input: Option<Value>,
    /// Its steps in order.
    pub steps: Vec<PipelineStep>,
    /// Its text; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its canonical document; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
}

/// A step of a pipeline as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PipelineStep {
    /// Its name.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// What must be satisfied before.
    pub needs: Vec<String>,
    /// Its gates.
    pub gates: Vec<String>,
}

impl PipelineView {
    /// The view of a checked pipeline.
    #[must_use]
    pub fn of(definition: &Definition, origin: &str, text: Option<String>) -> Self {
        let summary = DefinitionSummary::of(definition);
        Self { text, ..Self::of_summary(summary, definition.hash(), origin) }
    }

    /// The view in lists.
    #[must_use]
    pub fn of_summary(summary: DefinitionSummary, hash: Hash, origin: &str) -> Self {
        let steps = summary.steps.into_iter().map(|step| PipelineStep {
            id: step.id.to_string(),
            kind: step.kind,
            needs: step.needs.iter().map(ToString::to_string).collect(),
            gates: step.gates,
        });
        Self {
            name: summary.name,
            description: summary.description,
            origin: origin.to_owned(),
            hash: hash.to_string(),
            input: summary.input,
            steps: steps.collect(),
            text: None,
            version: None,
            document: None,
        }
    }
}

/// A saved version as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionView {
    /// The version, from 1.
    pub n: u32,
    /// Its identity.
    pub hash: String,
    /// When it was saved.
    #[schema(value_type = schema::TimeSchema)]
    pub saved_at: Timestamp,
    /// Its author.
    pub saved_by: String,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"definition": "name: hello\nsteps:\n  - { id: greet, command: echo hello }\n"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveBody {
    #[schema(value_type = schema::WrittenSchema)]
    pub(crate) definition: Value,
    pub(crate) file: Option<String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"definition": "name: hello\nsteps:\n  - { id: greet, command: echo hello }\n"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// A saved or built-in one, in place of a definition.
    pub(crate) pipeline: Option<String>,
    #[schema(value_type = Option<schema::WrittenSchema>)]
    pub(crate) definition: Option<Value>,
    pub(crate) file: Option<String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Where its settings documents are looked for; of local callers only.
    pub(crate) cwd: Option<String>,
}
