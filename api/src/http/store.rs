//! The store behind it all.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use everfold_engine::store::{Progress, Writability};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::App;
use super::extract::Params;
use crate::fault::Fault;

/// `GET /store`: what is kept where, and how far.
pub(crate) async fn info(State(app): State<App>) -> Result<Json<Value>, Fault> {
    let writability = match &*app.store().writability().borrow() {
        Writability::Writable => json!("writable"),
        Writability::Full => json!("full"),
        Writability::ReadOnly(reason) => json!({ "read_only": reason }),
    };
    let runs = app.runs(None, |runs| Ok(runs.len())).await?;
    let unreadable = app.views().unreadable().len();
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VerifyParams {
    /// Answers in JSON Lines: `{done, of}` now and then, at last the report or a problem.
    progress: bool,
}

/// Lines that wait for a slow reader; it misses further ones, and never the last.
const LINES: usize = 16;

/// `GET /store/verify`: every event, index entry, blob and snapshot. Takes a while.
pub(crate) async fn verify(
    State(app): State<App>,
    Params(params): Params<VerifyParams>,
) -> Result<Response, Fault> {
    if !params.progress {
        return Ok(Json(app.verify(Arc::new(|_| {})).await?).into_response());
    }
    let (sender, lines) = mpsc::channel(LINES);
    let told = sender.clone();
    let progress = Arc::new(move |progress| {
        if let Progress::Verify { done, of } = progress {
            let _slow = told.try_send(json!({ "done": done, "of": of }));
        }
    });
    // Goes on to its end where nobody listens any more, as its thread does anyway.
    tokio::spawn(async move {
        let last = match app.verify(progress).await {
            Ok(verified) => json!(verified),
            Err(fault) => json!(fault.problem()),
        };
        let _gone = sender.send(last).await;
    });
    let lines = futures::stream::unfold(lines, |mut lines| async move {
        let line: Value = lines.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(format!("{line}\n")), lines))
    });
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response())
}
