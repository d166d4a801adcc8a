//! The address of this page.

use axum::Router;
use axum::routing::get;

use super::page;
use crate::Pages;

/// The routes of this page.
pub(crate) fn routes() -> Router<Pages> {
    Router::new().route("/orch", get(page::page))
}
