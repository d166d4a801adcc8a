//! Whether the owner is there.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::App;
use crate::fault::{Code, Fault};
use crate::metrics;

/// Who owns the data folder, and how far its log is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HealthView {
    #[schema(example = "ok")]
    status: &'static str,
    /// The owner's process.
    pid: u32,
    version: &'static str,
    /// Names this copy of the store; cursors and ids of streams carry it.
    epoch: String,
    /// The last position of the log.
    position: u64,
}

/// Whether the owner takes requests.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ReadyView {
    ready: bool,
    /// `starting`, `folding`, `ready`, `ending` or `broken`.
    state: &'static str,
}

/// `GET /healthz`: who owns the data folder, and how far its log is.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "The owner is there.", body = HealthView))
)]
pub(crate) async fn healthz(State(app): State<App>) -> Json<HealthView> {
    Json(HealthView {
        status: "ok",
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        epoch: app.epoch().to_owned(),
        position: app.store().last_position().get(),
    })
}

/// `GET /readyz`: 200 once runs are recovered and the read models have reached the head; 503 before,
/// and when the owner is about to end.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "It takes requests.", body = ReadyView),
        (status = 503, description = "Not yet, or not any more.", body = ReadyView),
    )
)]
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let readiness = app.readiness();
    let is_ready = readiness.is_ready() && app.views().is_ready();
    let state = if readiness.is_ready() && !is_ready { "folding" } else { readiness.as_str() };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyView { ready: is_ready, state })).into_response()
}

/// `GET /metrics`: for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "OpenMetrics.", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Fault> {
    let text = app.metrics().text(&app.moment().await?);
    let text = text.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
