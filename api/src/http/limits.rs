//! Slots, rates and breakers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use everfold_engine::execution::Service;
use serde::Deserialize;

use super::answer::written;
use super::app::App;
use super::extract::{JsonBody, Path};
use crate::access::Caller;
use crate::body::limits::LimitsAnswer;
use crate::fault::{Code, Fault};
use crate::schema;

/// `GET /engine/limits`: what is in use, who waits, what stands open.
#[utoipa::path(
    get,
    path = "/engine/limits",
    tag = "engine",
    responses((status = 200, description = "All slots, rates and breakers.", body = schema::LimitsAnswerSchema))
)]
pub(crate) async fn limits(State(app): State<App>) -> Result<Json<LimitsAnswer>, Fault> {
    Ok(Json(answer(&app).await?))
}

/// Why a breaker is closed.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResetBody {
    reason: Option<String>,
}

/// `POST /engine/breakers/{name}/reset`: attempts start again at once. It is recorded who said so; of a
/// breaker that stands closed nothing is, so this write needs no key.
#[utoipa::path(
    post,
    path = "/engine/breakers/{name}/reset",
    tag = "engine",
    request_body = ResetBody,
    responses((status = 200, description = "All slots, rates and breakers.", body = schema::LimitsAnswerSchema))
)]
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    body: JsonBody<ResetBody>,
) -> Result<Response, Fault> {
    let service: Service = name.parse().map_err(|error: String| Fault::new(Code::Invalid, error))?;
    let position = app.reset_breaker(&service, body.value.reason, caller.actor).await?;
    Ok(written(StatusCode::OK, position, answer(&app).await?))
}

async fn answer(app: &App) -> Result<LimitsAnswer, Fault> {
    let (slots, resets) = (app.concurrency_slots().await?, app.breaker_resets().await?);
    Ok(LimitsAnswer { line: app.engine().line(), slots, resets })
}
