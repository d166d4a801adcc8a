//! The addresses of these pages.

use axum::Router;
use axum::routing::{get, post};

use crate::Pages;
use crate::triggers::{hooks, schedule_form, schedules};

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new()
        .route("/schedules", get(schedules::list))
        .route("/schedules/new", get(schedule_form::new_page).post(schedule_form::new_sent))
        .route("/schedules/{name}", get(schedules::page))
        .route("/schedules/{name}/change", get(schedule_form::change_page).post(schedule_form::change_sent))
        .route("/schedules/{name}/pause", post(schedules::pause))
        .route("/schedules/{name}/resume", post(schedules::resume))
        .route("/schedules/{name}/trigger", post(schedules::trigger))
        .route("/schedules/{name}/remove", get(schedules::remove_page).post(schedules::remove))
        .route("/hooks", get(hooks::list))
        .route("/hooks/{source}", get(hooks::of_source))
        .route("/hooks/{source}/{id}/redeliver", post(hooks::redeliver))
}
