//! The two routes of all actions: one asks, one acts.

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::act::Act;
use super::asking::shown;
use super::sending;
use super::stories;
use crate::Pages;
use crate::form::Fields;
use crate::frame::Visit;
use crate::problem::Problem;

/// The routes of these pages.
pub(crate) fn routes() -> Router<Pages> {
    Router::new().route("/runs/{run}/act/{verb}", get(asks).post(acts))
}

/// `GET`: says what will happen, and asks.
async fn asks(
    visit: Visit,
    Path((run, verb)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let typed = Fields::read(query.unwrap_or_default().as_bytes());
    let act = Act::of(visit, &run, &verb, typed).await?;
    let confirmation = stories::confirmation(&act).await?;
    Ok(shown(act, None, confirmation))
}

/// `POST`: does it, and leads to the run, or to the new one.
async fn acts(
    visit: Visit,
    Path((run, verb)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    typed: Fields,
) -> Result<Response, Problem> {
    // The form is sent to the address that names the step; the breakpoints are those that are ticked.
    let address = Fields::read(query.unwrap_or_default().as_bytes());
    let typed = if verb == "breakpoints" { typed } else { typed.or("step", address.text("step")) };
    let act = Act::of(visit, &run, &verb, typed).await?;
    let confirmation = stories::confirmation(&act).await?;
    if act.typed.is_set("look") {
        return Ok(shown(act, None, confirmation));
    }
    if !confirmation.is_possible() {
        let status = if act.not_allowed().is_some() { StatusCode::FORBIDDEN } else { StatusCode::CONFLICT };
        let is_partial = act.visit.is_partial;
        let mut response = shown(act, None, confirmation);
        if !is_partial {
            *response.status_mut() = status;
        }
        return Ok(response);
    }
    match sending::send(&act, &confirmation).await {
        Ok(done) => Ok(done.answer(&act)),
        Err(problem) if problem.is_unknown_caller() => Err(problem),
        Err(problem) => Ok(shown(act, Some(problem), confirmation)),
    }
}
