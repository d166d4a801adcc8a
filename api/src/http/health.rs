//! Whether the owner is there.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::App;
use crate::fault::{Code, Fault};
use crate::metrics;

/// `GET /healthz`: who owns the data folder, and how far its log is.
pub(crate) async fn healthz(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "epoch": app.epoch(),
        "position": app.store().last_position(),
    }))
}

/// `GET /readyz`: 200 once runs are recovered and the read models have reached the head; 503 before,
/// and when the owner is about to end.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let readiness = app.readiness();
    let is_ready = readiness.is_ready() && app.views().is_ready();
    let state = if readiness.is_ready() && !is_ready { "folding" } else { readiness.as_str() };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": is_ready, "state": state }))).into_response()
}

/// `GET /metrics`: for Prometheus.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Fault> {
    let text = app.metrics().text(&app.moment().await?);
    let text = text.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
