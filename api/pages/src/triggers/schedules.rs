//! `/schedules`: what starts at moments that come again; and one schedule with what its moments led to.

use askama::Template;
use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Value, json};

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::pipelines::{PipelinesTab, RestList, segment};
use crate::problem::Problem;
use crate::triggers::ScheduleView;
use crate::triggers::schedule_view::schedule_path;

#[derive(Template)]
#[template(path = "triggers/schedules.html")]
struct SchedulesPage {
    frame: Frame,
    tab: PipelinesTab,
    schedules: Vec<ScheduleView>,
}

/// `GET /schedules`: those that are due next first, paused ones last.
pub(super) async fn list(visit: Visit) -> Result<Response, Problem> {
    let mut schedules: RestList<ScheduleView> = visit.rest.get("/schedules").await?;
    schedules.items.sort_by(|one, other| {
        let key = |schedule: &ScheduleView| (schedule.next_at.is_none(), schedule.next_at.clone());
        key(one).cmp(&key(other))
    });
    let page = SchedulesPage {
        frame: visit.frame("Schedules", NavPlace::Pipelines),
        tab: PipelinesTab::Schedules,
        schedules: schedules.items,
    };
    Ok(Html(page).into_response())
}

#[derive(Template)]
#[template(path = "triggers/schedule.html")]
struct SchedulePage {
    frame: Frame,
    tab: PipelinesTab,
    schedule: ScheduleView,
}

/// `GET /schedules/{name}`.
pub(super) async fn page(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let schedule = ScheduleView::load(&visit, &name).await?;
    let frame = visit.frame(format!("{} · schedule", schedule.name), NavPlace::Pipelines);
    Ok(Html(SchedulePage { frame, tab: PipelinesTab::Schedules, schedule }).into_response())
}

/// `POST /schedules/{name}/pause`.
pub(super) async fn pause(
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Redirect, Problem> {
    act(&visit, &name, "pause", &json!({ "reason": fields.text("reason") }), &fields).await
}

/// `POST /schedules/{name}/resume`.
pub(super) async fn resume(
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Redirect, Problem> {
    act(&visit, &name, "resume", &json!({}), &fields).await
}

/// `POST /schedules/{name}/trigger`: what came of it stands first in the history.
pub(super) async fn trigger(
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Redirect, Problem> {
    act(&visit, &name, "trigger", &json!({}), &fields).await
}

async fn act(
    visit: &Visit,
    name: &str,
    verb: &str,
    body: &Value,
    fields: &Fields,
) -> Result<Redirect, Problem> {
    let path = format!("/schedules/{}/{verb}", segment(name));
    visit.rest.write(Method::POST, &path, body, fields.once()).await?;
    Ok(Redirect::to(&schedule_path(name, "")))
}

#[derive(Template)]
#[template(path = "triggers/remove.html")]
struct RemovePage {
    frame: Frame,
    tab: PipelinesTab,
    schedule: ScheduleView,
}

#[derive(Template)]
#[template(path = "triggers/remove_form.html")]
struct RemovePart {
    frame: Frame,
    schedule: ScheduleView,
}

/// `GET /schedules/{name}/remove`: what will happen.
pub(super) async fn remove_page(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let schedule = ScheduleView::load(&visit, &name).await?;
    let mut frame = visit.frame(format!("Remove {}", schedule.name), NavPlace::Pipelines);
    frame.live = false;
    if visit.is_partial {
        return Ok(Html(RemovePart { frame, schedule }).into_response());
    }
    Ok(Html(RemovePage { frame, tab: PipelinesTab::Schedules, schedule }).into_response())
}

/// `POST /schedules/{name}/remove`.
pub(super) async fn remove(
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let mut path = format!("/schedules/{}", segment(&name));
    if let Some(reason) = fields.text("reason") {
        path = with_query(&path, "reason", reason);
    }
    if fields.is_set("cancel") {
        path = with_query(&path, "cancel", "true");
    }
    visit.rest.write(Method::DELETE, &path, &json!({}), fields.once()).await?;
    Ok(Redirect::to("/schedules"))
}
