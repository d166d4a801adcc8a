//! Pipelines: saved ones, those that come with Everfold, and the check of a file.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::definition::{self, CheckedPipeline};
use everfold_engine::driver::By;
use everfold_engine::store::DedupKeep;
use everfold_workflows::builtin;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Page, written};
use super::app::App;
use super::extract::{JsonBody, Path, once};
use super::pipeline_source::{source, text_of};
use crate::access::Caller;
use crate::body::pipeline::{CheckBody, SaveBody};
use crate::body::pipeline::{PipelineView, VersionView};
use crate::fault::{Code, Fault};
use crate::node::{self, PipelineSource};
use crate::schema;

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
        // What a list shows needs no definition that is compiled, and there may be thousands.
        if let Some((saved, summary)) = app.engine().pipeline_summary(name).await? {
            let view = PipelineView::of_summary(summary, saved.hash, "saved");
            items.push(PipelineView { version: Some(saved.n), ..view });
        }
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
    body: JsonBody<SaveBody>,
) -> Result<Response, Fault> {
    let about = format!("PUT /pipelines/{name}");
    let dedup = once(&headers, &caller, &about, &body.bytes, DedupKeep::Week)?.dedup;
    let by = By { actor: caller.actor, dedup };
    let asked = body.value;
    let text = text_of(asked.definition)?;
    let named = node::parsed(&text, asked.file.as_deref(), &asked.files)?.definition.name;
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

/// What a check that found no error says.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CheckView {
    pipeline: PipelineView,
    #[schema(value_type = Vec<schema::FileProblemSchema>)]
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
    body: JsonBody<CheckBody>,
) -> Result<Json<CheckView>, Fault> {
    let CheckBody { pipeline, definition, file, files, cwd } = body.value;
    if cwd.is_some() && !caller.local {
        return Err(Fault::new(Code::NotPermitted, "cwd is for callers at this machine only"));
    }
    let (name, definition, pipeline, warnings) = match source(pipeline, definition, file, Some(files))? {
        None => return Err(Fault::new(Code::Invalid, "pipeline or definition is missing")),
        Some(PipelineSource::Named(name)) => {
            let view = view(&app, &name, false).await?;
            (name.clone(), app.pipeline(&name).await?, view, Vec::new())
        }
        Some(PipelineSource::Text { text, file, files }) => {
            app.holds_no_credential(&text, file.as_deref(), &files)?;
            let CheckedPipeline { definition, warnings, .. } = node::parsed(&text, file.as_deref(), &files)?;
            let name = file.unwrap_or_else(|| "definition".to_owned());
            let view = PipelineView::of(&definition, "file", None);
            (name, Arc::new(definition), view, warnings)
        }
        Some(PipelineSource::Built(definition)) => {
            let view = PipelineView::of(&definition, "file", None);
            (definition.name.clone(), definition, view, Vec::new())
        }
    };
    let noted = app.check(&caller.actor.to_string(), &name, &definition, cwd.map(PathBuf::from)).await?;
    Ok(Json(CheckView { pipeline, warnings, settings: noted.settings, unread: noted.unread }))
}
