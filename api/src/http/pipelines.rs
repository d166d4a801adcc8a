//! Pipelines: saved ones, those that come with Everfold, and the check of a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::definition::{self, Checked};
use everfold_engine::driver::By;
use everfold_engine::store::DedupKeep;
use everfold_engine::time::Timestamp;
use everfold_workflows::builtin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Page, written};
use super::extract::{Body, Path, once};
use super::{App, Caller};
use crate::fault::{Code, Fault};
use crate::owner;
use crate::shape;
use crate::view::kind_of;

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
    #[schema(value_type = shape::Time)]
    pub saved_at: Timestamp,
    /// By whom.
    pub saved_by: String,
}

/// `GET /pipelines`: the newest version of each name.
#[utoipa::path(
    get,
    path = "/pipelines",
    tag = "pipelines",
    responses((status = 200, description = "The pipelines by name.", body = Page<PipelineView>))
)]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Page<PipelineView>>, Fault> {
    let mut items = Vec::new();
    let names = app.engine().saved_names().await?;
    for name in &names {
        items.push(view(&app, name, false).await?);
    }
    for pipeline in builtin::pipelines().iter().filter(|it| !names.iter().any(|name| name == it.name)) {
        items.push(view(&app, pipeline.name, false).await?);
    }
    items.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(Page { items, next_cursor: None }))
}

/// `GET /pipelines/{name}`: `NAME`, `NAME@N`, `NAME@HASH`.
#[utoipa::path(
    get,
    path = "/pipelines/{name}",
    tag = "pipelines",
    responses((status = 200, description = "The pipeline.", body = PipelineView))
)]
pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<PipelineView>, Fault> {
    Ok(Json(view(&app, &name, true).await?))
}

/// The view of a named pipeline; whole with its text and its canonical document.
async fn view(app: &App, name: &str, whole: bool) -> Result<PipelineView, Fault> {
    let definition = app.pipeline(name).await?;
    let hash = definition.hash();
    let versions = app.saved_versions(&definition.name).await?;
    let nth = name.rsplit_once('@').and_then(|(_, n)| n.parse::<u32>().ok());
    let saved = versions
        .into_iter()
        .map(|(event, _)| event)
        .rfind(|event| event.hash == hash && nth.is_none_or(|nth| nth == event.n));
    let built_in = || builtin::find(&definition.name).map(|pipeline| pipeline.text.to_owned());
    let mut view = match saved {
        Some(saved) => {
            PipelineView { version: Some(saved.n), ..PipelineView::of(&definition, "saved", saved.text) }
        }
        None => PipelineView::of(&definition, "built_in", built_in()),
    };
    if whole {
        view.document = Some(document(&definition)?);
    } else {
        view.text = None;
    }
    Ok(view)
}

/// The canonical document of a definition.
pub(super) fn document(definition: &definition::Definition) -> Result<Value, Fault> {
    let document = serde_json::from_str(&definition.document());
    document.map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

/// `GET /pipelines/{name}/versions`: newest first.
#[utoipa::path(
    get,
    path = "/pipelines/{name}/versions",
    tag = "pipelines",
    responses((status = 200, description = "The saved versions, newest first.", body = Page<VersionView>))
)]
pub(crate) async fn versions(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Page<VersionView>>, Fault> {
    let saved = app.saved_versions(&name).await?;
    if saved.is_empty() {
        app.pipeline(&name).await?;
    }
    let items = saved.into_iter().rev().map(|(event, envelope)| VersionView {
        n: event.n,
        hash: event.hash.to_string(),
        saved_at: envelope.header.recorded_at,
        saved_by: envelope.header.actor.to_string(),
    });
    Ok(Json(Page { items: items.collect(), next_cursor: None }))
}

/// `PUT /pipelines/{name}`: the newest version of the name; the same again adds none.
#[utoipa::path(
    put,
    path = "/pipelines/{name}",
    tag = "pipelines",
    request_body = SaveBody,
    responses(
        (status = 201, description = "It is the newest version now.", body = PipelineView),
        (status = 200, description = "It is that already.", body = PipelineView),
    )
)]
pub(crate) async fn save(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: Body<SaveBody>,
) -> Result<Response, Fault> {
    let about = format!("PUT /pipelines/{name}");
    let dedup = once(&headers, &caller, &about, &body.bytes, DedupKeep::Week)?.dedup;
    let by = By { actor: caller.actor, dedup };
    let asked = body.value;
    let text = text_of(asked.definition)?;
    let named = owner::parsed(&text, asked.file.as_deref(), &asked.files)?.definition.name;
    if named != name {
        let message = format!("the path says “{name}”, the pipeline calls itself “{named}”");
        return Err(Fault::new(Code::OtherName, message));
    }
    let (definition, saved) = app.save_pipeline(&text, asked.file.as_deref(), &asked.files, by).await?;
    let status = if saved.repeated { StatusCode::OK } else { StatusCode::CREATED };
    let view =
        PipelineView { version: Some(saved.version.n), ..PipelineView::of(&definition, "saved", Some(text)) };
    Ok(written(status, saved, view))
}

fn text_of(definition: Value) -> Result<String, Fault> {
    match definition {
        Value::String(text) => Ok(text),
        document @ Value::Object(_) => Ok(document.to_string()),
        _other => Err(Fault::new(Code::Invalid, "definition is YAML text or a JSON object")),
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"definition": "name: hello\nsteps:\n  - { id: greet, command: echo hello }\n"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveBody {
    #[schema(value_type = shape::Written)]
    definition: Value,
    file: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"definition": "name: hello\nsteps:\n  - { id: greet, command: echo hello }\n"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// A saved or built-in one, in place of a definition.
    pipeline: Option<String>,
    #[schema(value_type = Option<shape::Written>)]
    definition: Option<Value>,
    file: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Where its settings documents are looked for; of local callers only.
    cwd: Option<String>,
}

/// What a check that found no error says.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CheckView {
    pipeline: PipelineView,
    #[schema(value_type = Vec<shape::FileProblem>)]
    warnings: Vec<definition::Problem>,
    /// Settings documents that a run which is started in `cwd` would not get.
    settings: Vec<String>,
    /// Commands that were not given to the shell, for want of time.
    unread: usize,
}

/// `POST /pipelines/check`: 422 with every problem where one is an error. The shell reads the commands, and runs none.
#[utoipa::path(
    post,
    path = "/pipelines/check",
    tag = "pipelines",
    request_body = CheckBody,
    responses((status = 200, description = "It has no errors.", body = CheckView))
)]
pub(crate) async fn check(
    State(app): State<App>,
    caller: Caller,
    body: Body<CheckBody>,
) -> Result<Json<CheckView>, Fault> {
    let CheckBody { pipeline, definition, file, files, cwd } = body.value;
    if cwd.is_some() && !caller.local {
        return Err(Fault::new(Code::NotPermitted, "cwd is for callers at this machine only"));
    }
    let (name, definition, pipeline, warnings) = match (pipeline, definition) {
        (Some(name), None) => {
            let view = view(&app, &name, false).await?;
            (name.clone(), app.pipeline(&name).await?, view, Vec::new())
        }
        (None, Some(definition)) => {
            let text = text_of(definition)?;
            let Checked { definition, warnings, .. } = owner::parsed(&text, file.as_deref(), &files)?;
            let name = file.unwrap_or_else(|| "definition".to_owned());
            let view = PipelineView::of(&definition, "file", None);
            (name, Arc::new(definition), view, warnings)
        }
        (None, None) => return Err(Fault::new(Code::Invalid, "pipeline or definition is missing")),
        (Some(_), Some(_)) => {
            return Err(Fault::new(Code::Invalid, "give pipeline or definition, not both"));
        }
    };
    let noted = app.check(&name, &definition, cwd.map(PathBuf::from)).await?;
    Ok(Json(CheckView { pipeline, warnings, settings: noted.settings, unread: noted.unread }))
}
