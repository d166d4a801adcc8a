//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use super::{board_diff, compare, page, replay};
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/runs/{run}/debug", get(page::debug))
        .route("/runs/{run}/debug/replay", get(replay::page))
        .route("/runs/{run}/compare", get(compare::page))
        .route("/compare", get(board_diff::page))
}
