//! The store: where it is and how far, its verification, and the adoption of a copy.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use everfold_engine::id::RunId;
use everfold_engine::store::{Progress, Writability};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::app::App;
use super::extract::Params;
use crate::fault::{Code, Fault};
use crate::node::LogDigest;

/// The store and its files.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StoreView {
    /// The data folder.
    folder: String,
    /// The store's identity; copies share it. Null: it is in memory.
    store: Option<String>,
    /// No copy shares it; cursors carry it.
    epoch: String,
    /// Whether this copy may act.
    adopted: bool,
    /// The last position of the log.
    position: u64,
    /// How many runs there are.
    runs: usize,
    /// Events that this version cannot read.
    unreadable_events: usize,
    /// `writable`, `full`, or `{read_only: WHY}`.
    writability: Value,
    /// What was mended when it was opened.
    warnings: Vec<String>,
    /// Runs that are left alone, each with why.
    #[schema(value_type = Vec<Value>)]
    set_aside: Vec<(RunId, String)>,
    /// Forks whose copying a crash cut off, until they are repeated.
    cut_copies: Vec<CutCopyView>,
    /// `{format, segments, journal_bytes, index_bytes, blobs_bytes}`; null: it is in memory.
    files: Value,
}

/// A fork whose copying a crash cut off.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CutCopyView {
    /// The run that it would have become.
    #[schema(value_type = String)]
    run: RunId,
    /// Events that were copied.
    events: u64,
}

/// `GET /store`: what is kept where, and how far.
#[utoipa::path(
    get,
    path = "/store",
    tag = "store",
    responses((status = 200, description = "What is kept where, and how far.", body = StoreView))
)]
pub(crate) async fn info(State(app): State<App>) -> Result<Json<StoreView>, Fault> {
    let writability = match &*app.store().writability().borrow() {
        Writability::Writable => json!("writable"),
        Writability::Full => json!("full"),
        Writability::ReadOnly(reason) => json!({ "read_only": reason }),
        Writability::NotOurs(reason) => json!({ "not_ours": reason }),
    };
    let runs = app.runs(None, |runs| Ok(runs.len())).await?;
    let unreadable = app.views().unreadable().len();
    let files = app.files().await?;
    let report = app.report();
    let copies = app.engine().cut_copies().await?;
    Ok(Json(StoreView {
        folder: app.layout().root().display().to_string(),
        store: report.map(|report| report.store.clone()),
        epoch: app.epoch().to_owned(),
        adopted: report.is_none_or(|report| report.adopted),
        position: app.store().last_position().get(),
        runs,
        unreadable_events: unreadable,
        writability,
        warnings: report.map(|report| report.warnings.clone()).unwrap_or_default(),
        set_aside: app.set_aside(),
        cut_copies: copies
            .into_iter()
            .map(|copy| CutCopyView { run: copy.run, events: copy.events.get() })
            .collect(),
        files,
    }))
}

/// A copy of a store that acts now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AdoptedAnswer {
    adopted: bool,
    /// How many folders and archives of attempts were put aside: the history of this copy has not come to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    put_aside: Option<usize>,
    /// Where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    put_aside_in: Option<String>,
    /// The attempts among them in which something was still at work, and was ended: `RUN/FOLDER`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ended: Vec<String>,
}

/// `POST /store/adopt`: this copy of the store is the one that acts.
#[utoipa::path(
    post,
    path = "/store/adopt",
    tag = "store",
    responses((status = 200, description = "It acts from now on.", body = AdoptedAnswer))
)]
pub(crate) async fn adopt(State(app): State<App>) -> Result<Json<AdoptedAnswer>, Fault> {
    let lost = app.adopt().await?;
    let ended = lost.iter().flat_map(|lost| &lost.ended);
    Ok(Json(AdoptedAnswer {
        adopted: true,
        put_aside: lost.as_ref().map(|lost| lost.count),
        put_aside_in: lost.as_ref().map(|lost| lost.folder.display().to_string()),
        ended: ended.map(|folder| folder.display().to_string()).collect(),
    }))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VerifyParams {
    /// Answers in JSON Lines: `{done, of}` now and then, at last the report or a problem.
    progress: bool,
    /// A digest that a former verification answered with, `POSITION:HASH`: whether the log up to there is the same.
    digest: Option<String>,
}

/// Lines that are queued for a slow reader. It misses lines of progress beyond these, and never the last line.
const LINES: usize = 16;

/// `GET /store/verify`: every event, index entry, blob and snapshot. Takes a while.
#[utoipa::path(
    get,
    path = "/store/verify",
    tag = "store",
    params(VerifyParams),
    responses((status = 200, description = "The report; with `progress=true` JSON Lines `{done, of}`, the report or a problem last.", content((crate::node::Verified = "application/json"), (String = "application/jsonl"))))
)]
pub(crate) async fn verify(
    State(app): State<App>,
    Params(params): Params<VerifyParams>,
) -> Result<Response, Fault> {
    let kept = params.digest.as_deref().map(str::parse::<LogDigest>).transpose();
    let kept = kept.map_err(|error| Fault::new(Code::Invalid, format!("digest: {error}")))?;
    if !params.progress {
        return Ok(Json(app.verify(kept, Arc::new(|_| {})).await?).into_response());
    }
    let (sender, lines) = mpsc::channel(LINES);
    let progress_sender = sender.clone();
    let progress = Arc::new(move |progress| {
        if let Progress::Verify { done, of } = progress {
            let _slow = progress_sender.try_send(json!({ "done": done, "of": of }));
        }
    });
    // Where the reader is gone the verification goes on to its end: its thread cannot be stopped.
    tokio::spawn(async move {
        let last = match app.verify(kept, progress).await {
            Ok(verified) => json!(verified),
            Err(fault) => json!(fault.problem()),
        };
        let _gone = sender.send(last).await;
    });
    let lines = futures::stream::unfold(lines, |mut lines| async move {
        let line: Value = lines.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(format!("{line}\n")), lines))
    })
    .fuse();
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response())
}
