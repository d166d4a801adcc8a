//! Whether the owner is there.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;

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
