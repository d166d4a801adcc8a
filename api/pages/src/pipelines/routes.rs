//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use crate::Pages;
use crate::pipelines::{edit, list, page};

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/pipelines", get(list::page))
        .route("/pipelines/new", get(edit::new_page).post(edit::new_sent))
        .route("/pipelines/{name}", get(page::page))
        .route("/pipelines/{name}/edit", get(edit::page).post(edit::sent))
}
