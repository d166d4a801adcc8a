//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use super::backtest;
use super::decision_page;
use super::export;
use super::list;
use super::verify;
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/audit", get(list::list))
        .route("/audit/export", get(export::export))
        .route("/audit/backtest", get(backtest::page))
        .route("/audit/verify", get(verify::page).post(verify::verify))
        .route("/audit/{run}/{version}", get(decision_page::one))
}
