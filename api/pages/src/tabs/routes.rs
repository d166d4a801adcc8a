//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use super::{artefacts, children, cost, definition, events, file, gates, log, log_stream};
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/runs/{run}/events", get(events::page))
        .route("/runs/{run}/events/{version}", get(events::whole))
        .route("/runs/{run}/log", get(log::page))
        .route("/runs/{run}/log/stream", get(log_stream::stream))
        .route("/runs/{run}/log/text", get(log_stream::text))
        .route("/runs/{run}/gates", get(gates::page))
        .route("/runs/{run}/artefacts", get(artefacts::page))
        .route("/runs/{run}/artefacts/{hash}", get(file::file))
        .route("/runs/{run}/cost", get(cost::page))
        .route("/runs/{run}/children", get(children::page))
        .route("/runs/{run}/definition", get(definition::page))
}
