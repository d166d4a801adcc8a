//! Whether the owner is there.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everfold_engine::store::Writability;
use serde::Serialize;

use super::app::App;
use crate::fault::{Code, Fault};
use crate::metrics;
use crate::node::Readiness;

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
    /// `starting`, `folding`, `damaged`, `full`, `read_only`, `not_ours`, `ready`, `ending` or `broken`.
    state: &'static str,
    /// Why it is not ready, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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

/// `GET /readyz`: 200 once runs are recovered and the read models have reached the head; 503 before, while the
/// store takes no writes or the disk is full, and when the owner is about to end.
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
    let shortage = app.disk_shortage().await;
    let (state, why) = match &*app.store().writability().borrow() {
        _ if !readiness.is_ready() => (readiness.as_str(), None),
        Writability::ReadOnly(why) => ("read_only", Some(why.clone())),
        Writability::NotOurs(why) => ("not_ours", Some(why.clone())),
        Writability::Full | Writability::Writable => match (shortage, app.views().unread()) {
            (Some(shortage), _) => ("full", Some(shortage.sentence("runs go on"))),
            (None, Some(error)) => ("damaged", Some(error.to_string())),
            (None, None) if app.views().is_ready() => (readiness.as_str(), None),
            (None, None) => ("folding", None),
        },
    };
    let ready = state == Readiness::Ready.as_str();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyView { ready, state, why })).into_response()
}

/// `GET /metrics`: for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "OpenMetrics.", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Fault> {
    let text = app.metrics().text(&app.metrics_snapshot().await?);
    let text = text.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
