//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use crate::Pages;
use crate::start::page;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/start", get(page::choose))
        .route("/pipelines/{name}/start", get(page::page).post(page::sent))
}
