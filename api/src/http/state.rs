//! A run at any moment: its state, its definition, its timeline and its replay.

use axum::Json;
use axum::extract::State;
use everfold_engine::envelope::StreamId;
use everfold_engine::id::{Position, RunId, Version};
use everfold_projections::{AttemptRow, attempts};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Page;
use super::app::App;
use super::extract::{JsonBody, Params, Path};
use super::parameters::moment;
use super::pipeline_source::source;
use super::pipelines::document;
use crate::body::replay::ReplayBody;
use crate::fault::{Code, Fault};
use crate::node::{DecidedBy, Replay, not_begun};
use crate::schema;
use crate::view::RunView;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AtParams {
    #[param(minimum = 1)]
    version: Option<u64>,
    /// A time in RFC 3339, or a position of the log; with `version` the earlier of the two.
    at: Option<String>,
}

/// `GET /runs/{id}/state`: now, at a version, or at a moment.
#[utoipa::path(
    get,
    path = "/runs/{run}/state",
    tag = "history",
    params(AtParams),
    responses((status = 200, description = "The run as it was.", body = RunView))
)]
pub(crate) async fn at(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<AtParams>,
) -> Result<Json<RunView>, Fault> {
    let run = app.resolve(&run).await?;
    let at = match moment(&app, params.at.as_deref()).await? {
        Some(position) => Some(app.version_before(run, position).await?),
        None => None,
    };
    // The earlier of the two wins.
    let Some(version) = at.into_iter().chain(params.version.map(Version)).min() else {
        return Ok(Json(app.view(run).await?));
    };
    if version == Version::ZERO {
        return Err(
            Fault::new(Code::NotYet, "versions count from 1").hint("`everfold events RUN` shows them")
        );
    }
    Ok(Json(app.view_at(run, version).await?))
}

/// Refuses a moment at which a run had not begun.
pub(super) async fn begun_by(app: &App, run: RunId, at: Option<Position>) -> Result<(), Fault> {
    let Some(at) = at else { return Ok(()) };
    let first = app.store().read(&StreamId::run(run), Version::FIRST, 1).await?;
    first.first().filter(|event| event.position <= at).map(|_| ()).ok_or_else(|| not_begun(run))
}

/// `GET /runs/{id}/definition`: the canonical document that the run is pinned to.
#[utoipa::path(
    get,
    path = "/runs/{run}/definition",
    tag = "history",
    responses((status = 200, description = "The canonical document.", body = Object))
)]
pub(crate) async fn definition(
    State(app): State<App>,
    Path(run): Path<String>,
) -> Result<Json<Value>, Fault> {
    let run = app.resolve(&run).await?;
    let definition = app.definition(run).await?;
    Ok(Json(document(&definition)?))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TimelineParams {
    /// A time or a position.
    at: Option<String>,
}

/// `GET /runs/{id}/timeline`: every attempt with its times, now or at a past moment.
#[utoipa::path(
    get,
    path = "/runs/{run}/timeline",
    tag = "history",
    params(TimelineParams),
    responses((status = 200, description = "All attempts.", body = Page<schema::AttemptRowSchema>))
)]
pub(crate) async fn timeline(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<TimelineParams>,
) -> Result<Json<Page<AttemptRow>>, Fault> {
    let run = app.resolve(&run).await?;
    let at = moment(&app, params.at.as_deref()).await?;
    begun_by(&app, run, at).await?;
    let history = app.history_until(run, at).await?;
    Ok(Json(Page { items: attempts(&history), next_cursor: None }))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplayParams {
    /// Decide by this definition: `current` (the newest saved one of the run's pipeline), `NAME`, `NAME@N`, or a hash.
    #[param(min_length = 1)]
    definition: Option<String>,
    /// Only the input that recorded this version, and its decision in full; without `definition` by the one that it was
    /// recorded with.
    #[param(minimum = 1)]
    version: Option<u64>,
}

/// `GET /runs/{id}/replay`: decides again on every recorded fact and compares.
///
/// With `definition` each fact is decided by that one, on the recorded state before it, which goes over to the
/// definition as a fork does. Nothing is recorded.
#[utoipa::path(
    get,
    path = "/runs/{run}/replay",
    tag = "history",
    params(ReplayParams),
    responses((status = 200, description = "What was compared, and where it differs.", body = Replay))
)]
pub(crate) async fn replay(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<ReplayParams>,
) -> Result<Json<Replay>, Fault> {
    let run = app.resolve(&run).await?;
    let by = match params.definition.as_deref() {
        Some("current") => DecidedBy::Current,
        Some(name) => DecidedBy::Named(name.to_owned()),
        None if params.version.is_some() => DecidedBy::Pinned,
        None => return Ok(Json(app.replay(run).await?)),
    };
    Ok(Json(app.decide_by(run, &by, asked_version(params.version)?).await?))
}

/// `POST /runs/{id}/replay`: decides again on every recorded fact by a definition that the body names or holds.
///
/// Nothing is recorded, and the definition is not saved.
#[utoipa::path(
    post,
    path = "/runs/{run}/replay",
    tag = "history",
    request_body = ReplayBody,
    responses((status = 200, description = "What was compared, and where it differs.", body = Replay))
)]
pub(crate) async fn replay_by(
    State(app): State<App>,
    Path(run): Path<String>,
    body: JsonBody<ReplayBody>,
) -> Result<Json<Replay>, Fault> {
    let run = app.resolve(&run).await?;
    let ReplayBody { pipeline, definition, file, files, version } = body.value;
    let source = source(pipeline, definition, file, files)?;
    let by = source.map_or(DecidedBy::Current, DecidedBy::Source);
    Ok(Json(app.decide_by(run, &by, asked_version(version)?).await?))
}

fn asked_version(asked: Option<u64>) -> Result<Option<Version>, Fault> {
    match asked {
        Some(0) => {
            Err(Fault::new(Code::NotYet, "versions count from 1").hint("`everfold events RUN` shows them"))
        }
        asked => Ok(asked.map(Version)),
    }
}
