//! Pipelines: those that come with Everfold, and the check of a file.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use everfold_engine::definition::{self, Checked};
use everfold_workflows::builtin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Page;
use super::extract::Body;
use crate::fault::{Code, Fault};
use crate::owner;
use crate::view::kind_of;

/// A pipeline as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineView {
    /// Its name.
    pub name: String,
    /// For readers.
    pub description: String,
    /// Where it comes from: `built_in` or `file`.
    pub origin: String,
    /// Its identity.
    pub hash: String,
    /// The JSON Schema of its input.
    pub input: Option<Value>,
    /// Its steps in order.
    pub steps: Vec<PipelineStep>,
    /// Its text; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A step of a pipeline as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    pub fn of(definition: &definition::Definition, origin: &str, text: Option<String>) -> Self {
        Self {
            name: definition.name.clone(),
            description: definition.description.clone(),
            origin: origin.to_owned(),
            hash: definition.hash().to_string(),
            input: definition.input.clone(),
            steps: definition
                .steps
                .iter()
                .chain(&definition.on_finish)
                .map(|step| PipelineStep {
                    id: step.id.to_string(),
                    kind: kind_of(step),
                    needs: step.needs.iter().map(ToString::to_string).collect(),
                    gates: step.gates.iter().map(|gate| gate.id.clone()).collect(),
                })
                .collect(),
            text,
        }
    }
}

/// `GET /pipelines`.
pub(crate) async fn list() -> Result<Json<Page<PipelineView>>, Fault> {
    let items: Result<Vec<PipelineView>, Fault> = builtin::pipelines()
        .iter()
        .map(|pipeline| Ok(PipelineView::of(&owner::named(pipeline.name)?.definition, "built_in", None)))
        .collect();
    Ok(Json(Page { items: items?, next_cursor: None }))
}

/// `GET /pipelines/{name}`.
pub(crate) async fn get(Path(name): Path<String>) -> Result<Json<PipelineView>, Fault> {
    let checked = owner::named(&name)?;
    let text = builtin::find(&name).map(|pipeline| pipeline.text.to_owned());
    Ok(Json(PipelineView::of(&checked.definition, "built_in", text)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    definition: Value,
    file: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// What a check that found no error says.
#[derive(Debug, Serialize)]
pub(crate) struct CheckView {
    pipeline: PipelineView,
    warnings: Vec<definition::Problem>,
}

/// `POST /pipelines/check`: 422 with every problem where one is an error.
pub(crate) async fn check(body: Body<CheckBody>) -> Result<Json<CheckView>, Fault> {
    let asked = body.value;
    let text = match asked.definition {
        Value::String(text) => text,
        document @ Value::Object(_) => document.to_string(),
        _other => return Err(Fault::new(Code::Invalid, "definition is YAML text or a JSON object")),
    };
    let Checked { definition, warnings, .. } = owner::parsed(&text, asked.file.as_deref(), &asked.files)?;
    Ok(Json(CheckView { pipeline: PipelineView::of(&definition, "file", None), warnings }))
}
