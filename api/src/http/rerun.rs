//! What makes a new run of an old one: retry, restart, fork.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use everfold_engine::event::OriginKind;
use everfold_engine::id::{RunId, Version};

use super::answer::written;
use super::app::App;
use super::credentials::credentials;
use super::extract::{JsonBody, Path};
use super::parameters::moment;
use super::pipeline_source::source;
use super::relative_names::once_of_run;
use crate::access::Caller;
use crate::body::start::{ForkBody, RestartBody, RetryBody};
use crate::fault::{Code, Fault};
use crate::node::{Rerun, StartedRun};
use crate::view::RunView;

/// `POST /runs/{id}/retry`: a blocked run goes on in place, an ended one as a new run.
///
/// Headers `Everfold-Credential-NAME` bring credentials that secrets of the pipeline name; they are kept sealed until the
/// run has ended.
#[utoipa::path(
    post,
    path = "/runs/{run}/retry",
    tag = "steering",
    request_body = RetryBody,
    responses(
        (status = 200, description = "The blocked run goes on in place.", body = RunView),
        (status = 201, description = "The new run.", body = RunView),
    )
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    body: JsonBody<RetryBody>,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, "retry", &body.bytes).await?;
    let again = Rerun { credentials: credentials(&headers)?, ..retrying(body.value) };
    let begun = app.retry(run, again, caller.actor, once).await?;
    answer(&app, run, begun).await
}

/// What `retry` asks of a run.
pub(super) fn retrying(RetryBody { step, detach }: RetryBody) -> Rerun {
    Rerun { from_step: step, ..Rerun::new(OriginKind::Retry, detach) }
}

/// `POST /runs/{id}/restart`: a new run that begins anew at a step; a live origin is cancelled.
///
/// Headers `Everfold-Credential-NAME` bring credentials that secrets of the pipeline name; a live origin is
/// cancelled only where the gates of `admit` let the new run pass; they are kept sealed until the
/// run has ended.
#[utoipa::path(
    post,
    path = "/runs/{run}/restart",
    tag = "steering",
    request_body = RestartBody,
    responses(
        (status = 201, description = "The new run.", body = RunView),
        (status = 200, description = "Another run has its key, and nothing was started.", body = RunView),
    )
)]
pub(crate) async fn restart(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    body: JsonBody<RestartBody>,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, "restart", &body.bytes).await?;
    let again = Rerun { credentials: credentials(&headers)?, ..restarting(body.value)? };
    let begun = app.again(run, again, caller.actor, once).await?;
    answer(&app, run, begun).await
}

/// What `restart` asks of a run.
pub(super) fn restarting(body: RestartBody) -> Result<Rerun, Fault> {
    let RestartBody { from_step, input, title, pipeline, definition, file, files, config, detach } = body;
    let source = source(pipeline, definition, file, files)?;
    let new = Rerun::new(OriginKind::Restart, detach);
    Ok(Rerun { from_step: Some(from_step), input, config, source, title, ..new })
}

/// `POST /runs/{id}/fork`: a new run that goes on from a moment of this one, beside it.
///
/// Headers `Everfold-Credential-NAME` bring credentials that secrets of the pipeline name; they are kept sealed until the
/// run has ended.
#[utoipa::path(
    post,
    path = "/runs/{run}/fork",
    tag = "steering",
    request_body = ForkBody,
    responses(
        (status = 201, description = "The new run.", body = RunView),
        (status = 200, description = "Another run has its key, and nothing was started.", body = RunView),
    )
)]
pub(crate) async fn fork(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    body: JsonBody<ForkBody>,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, "fork", &body.bytes).await?;
    let asked = body.value;
    let source = source(asked.pipeline, asked.definition, asked.file, asked.files)?;
    let at = match (asked.version, &asked.at) {
        (Some(version), None) if version > 0 => Version(version),
        (None, Some(at)) => match moment(&app, Some(at)).await? {
            Some(position) => app.version_before(run, position).await?,
            None => Version::ZERO,
        },
        (None, None) => return Err(Fault::new(Code::Invalid, "version or at is missing")),
        _both_or_zero => return Err(Fault::new(Code::Invalid, "give a version from 1, or at, not both")),
    };
    if at == Version::ZERO {
        return Err(Fault::new(Code::NotYet, "the run had not begun then"));
    }
    let again = Rerun {
        at: Some(at),
        // A position of the log is no time.
        moment: asked.at.and_then(|at| at.parse().ok()),
        input: asked.input,
        config: asked.config,
        source,
        title: asked.title,
        until_step: asked.until_step,
        live: asked.live,
        replay_effects: asked.replay_effects,
        credentials: credentials(&headers)?,
        ..Rerun::new(OriginKind::Fork, asked.detach)
    };
    let begun = app.again(run, again, caller.actor, once).await?;
    answer(&app, run, begun).await
}

/// 201 with the new run; 200 where the run itself goes on, or another one has its key.
async fn answer(app: &App, asked: RunId, begun: StartedRun) -> Result<Response, Fault> {
    let StartedRun { run, went, held } = begun;
    let view = RunView { held, ..app.view(run).await? };
    let status = if run == asked || held { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = written(status, went, view).into_response();
    if let Ok(place) = format!("/api/v1/runs/{run}").parse() {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}
