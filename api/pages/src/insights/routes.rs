//! The address of the page.

use axum::Router;
use axum::routing::get;

use super::page;
use crate::Pages;

/// The routes of the page.
pub(crate) fn routes() -> Router<Pages> {
    Router::new().route("/insights", get(page::insights))
}
