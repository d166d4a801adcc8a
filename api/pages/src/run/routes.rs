//! The routes of a run's first page.

use axum::Router;
use axum::routing::get;

use super::overview;
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new().route("/runs/{run}", get(overview::overview))
}
