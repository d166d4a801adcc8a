//! The routes of the board.

use axum::Router;
use axum::routing::get;

use super::{csv, moment_page, page, table};
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/", get(page::board))
        .route("/runs", get(table::table))
        .route("/runs.csv", get(csv::export))
        .route("/moment", get(moment_page::chosen))
}
