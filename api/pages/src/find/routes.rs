//! The routes of what is found.

use axum::Router;
use axum::routing::get;

use super::page;
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new().route("/find", get(page::find))
}
