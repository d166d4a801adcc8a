//! Schedules: the list, one schedule, adding, removing, pausing, resuming and triggering it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::driver::By;
use everfold_engine::store::DedupKeep;
use serde_json::json;

use super::answer::{Page, written};
use super::app::App;
use super::extract::{JsonBody, Params, Path, once};
use crate::access::Caller;
use crate::body::schedule::{AddBody, RemoveQuery, UpdateBody};
use crate::body::steering::ReasonBody;
use crate::fault::Fault;
use crate::node::{Add, Remove, ScheduleView, Update};

/// `GET /schedules`: all of them.
#[utoipa::path(
    get,
    path = "/schedules",
    tag = "schedules",
    responses((status = 200, description = "All schedules.", body = Page<ScheduleView>))
)]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Page<ScheduleView>>, Fault> {
    Ok(Json(Page { items: app.schedules().await?, next_cursor: None }))
}

/// `GET /schedules/{name}`: one of them.
#[utoipa::path(
    get,
    path = "/schedules/{name}",
    tag = "schedules",
    responses((status = 200, description = "The schedule.", body = ScheduleView))
)]
pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ScheduleView>, Fault> {
    Ok(Json(app.schedule(&name).await?))
}

/// `POST /schedules`: adds one. The same again is no other one.
#[utoipa::path(
    post,
    path = "/schedules",
    tag = "schedules",
    request_body = AddBody,
    responses((status = 201, description = "The schedule.", body = ScheduleView))
)]
pub(crate) async fn add(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: JsonBody<AddBody>,
) -> Result<Response, Fault> {
    let dedup = once(&headers, &caller, "POST /schedules", &body.bytes, DedupKeep::Week)?.dedup;
    let by = By { actor: caller.actor, dedup };
    let AddBody { name, pipeline, schedule, input, title } = body.value;
    let add = Add { name, pipeline, schedule, input: input.unwrap_or_else(|| json!({})), title };
    let (went, view) = app.add_schedule(add, by).await?;
    Ok(written(StatusCode::CREATED, went, view))
}

/// The actor of a write with its idempotency key.
fn by(headers: &HeaderMap, caller: Caller, name: &str, verb: &str, body: &[u8]) -> Result<By, Fault> {
    let about = format!("POST /schedules/{name}/{verb}");
    let dedup = once(headers, &caller, &about, body, DedupKeep::Week)?.dedup;
    Ok(By { actor: caller.actor, dedup })
}

/// `PATCH /schedules/{name}`: makes it another one; what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/schedules/{name}",
    tag = "schedules",
    request_body = UpdateBody,
    responses((status = 200, description = "The schedule.", body = ScheduleView))
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: JsonBody<UpdateBody>,
) -> Result<Response, Fault> {
    let by = by(&headers, caller, &name, "update", &body.bytes)?;
    let UpdateBody { pipeline, schedule, input, title } = body.value;
    let (went, view) = app.update_schedule(Update { name, pipeline, schedule, input, title }, by).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `DELETE /schedules/{name}`: takes one away.
#[utoipa::path(
    delete,
    path = "/schedules/{name}",
    tag = "schedules",
    params(RemoveQuery),
    responses((status = 200, description = "The schedule as it was.", body = ScheduleView))
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    Params(params): Params<RemoveQuery>,
) -> Result<Response, Fault> {
    let verb = if params.cancel { "remove and cancel" } else { "remove" };
    let by = by(&headers, caller, &name, verb, b"")?;
    let remove = Remove { name, reason: params.reason, cancels: params.cancel };
    let (went, view) = app.remove_schedule(remove, by).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `POST /schedules/{name}/pause`: its moments pass.
#[utoipa::path(
    post,
    path = "/schedules/{name}/pause",
    tag = "schedules",
    request_body = ReasonBody,
    responses((status = 200, description = "The schedule.", body = ScheduleView))
)]
pub(crate) async fn pause(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: JsonBody<ReasonBody>,
) -> Result<Response, Fault> {
    let by = by(&headers, caller, &name, "pause", &body.bytes)?;
    let (went, view) = app.pause_schedule(&name, true, body.value.reason, by).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `POST /schedules/{name}/resume`: its moments lead to something again.
#[utoipa::path(
    post,
    path = "/schedules/{name}/resume",
    tag = "schedules",
    request_body = ReasonBody,
    responses((status = 200, description = "The schedule.", body = ScheduleView))
)]
pub(crate) async fn resume(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: JsonBody<ReasonBody>,
) -> Result<Response, Fault> {
    let by = by(&headers, caller, &name, "resume", &body.bytes)?;
    let (went, view) = app.pause_schedule(&name, false, body.value.reason, by).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `POST /schedules/{name}/trigger`: what a moment would do, now.
#[utoipa::path(
    post,
    path = "/schedules/{name}/trigger",
    tag = "schedules",
    responses((status = 200, description = "The schedule.", body = ScheduleView))
)]
pub(crate) async fn trigger(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let by = by(&headers, caller, &name, "trigger", b"")?;
    let (went, view) = app.trigger_schedule(&name, by).await?;
    Ok(written(StatusCode::OK, went, view))
}
