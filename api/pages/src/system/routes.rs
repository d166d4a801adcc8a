//! The addresses of these pages.

use axum::Router;
use axum::routing::get;

use super::{acts, page};
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new().route("/system", get(page::system)).route("/system/{act}", get(acts::ask).post(acts::act))
}
