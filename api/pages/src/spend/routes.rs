//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use super::{budgets, page};
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/spend", get(page::spend))
        .route("/spend/{act}", get(budgets::ask).post(budgets::act))
}
