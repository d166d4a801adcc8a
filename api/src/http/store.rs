//! The store behind it all.

use axum::Json;
use axum::extract::State;
use everfold_engine::store::Writability;
use serde_json::{Value, json};

use super::App;
use crate::fault::Fault;
use crate::owner::Verified;

/// `GET /store`: what is kept where, and how far.
pub(crate) async fn info(State(app): State<App>) -> Result<Json<Value>, Fault> {
    let writability = match &*app.store().writability().borrow() {
        Writability::Writable => json!("writable"),
        Writability::Full => json!("full"),
        Writability::ReadOnly(reason) => json!({ "read_only": reason }),
    };
    let models = app.models().await?;
    let runs = models.runs.len();
    let unreadable = models.unreadable().len();
    drop(models);
    let files = app.files().await?;
    let report = app.report();
    Ok(Json(json!({
        "folder": app.layout().root(),
        "store": report.map(|report| report.store.clone()),
        "epoch": app.epoch(),
        "adopted": report.is_none_or(|report| report.adopted),
        "position": app.store().last_position(),
        "runs": runs,
        "unreadable_events": unreadable,
        "writability": writability,
        "warnings": report.map(|report| report.warnings.clone()).unwrap_or_default(),
        "set_aside": app.set_aside(),
        "files": files,
    })))
}

/// `POST /store/adopt`: this copy of the store is the one that acts.
pub(crate) async fn adopt(State(app): State<App>) -> Result<Json<Value>, Fault> {
    app.adopt().await?;
    Ok(Json(json!({ "adopted": true })))
}

/// `GET /store/verify`: every event, index entry, blob and snapshot. Takes a while.
pub(crate) async fn verify(State(app): State<App>) -> Result<Json<Verified>, Fault> {
    Ok(Json(app.verify().await?))
}
