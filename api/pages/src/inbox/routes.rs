//! The addresses of the inbox.

use axum::Router;
use axum::routing::get;

use super::decision::decided;
use super::opening::{first, open};
use super::picture::picture;
use crate::Pages;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/inbox", get(first))
        .route("/inbox/{task}", get(open).post(decided))
        .route("/inbox/pictures/{run}/{hash}", get(picture))
}
