//! `/audit/verify`: has the chain of the log examined.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "audit/verify.html")]
struct VerifyPage {
    frame: Frame,
    report: Option<VerifyReport>,
    problem: Option<Problem>,
}

/// What the examination of the store found: `GET /store/verify`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct VerifyReport {
    sound: bool,
    events: u64,
    streams: u64,
    blobs: u64,
    faults: Vec<Value>,
    more_faults: u64,
    notes: Vec<Value>,
}

/// `GET /audit/verify`.
pub(super) async fn page(visit: Visit) -> Response {
    let frame = verify_frame(&visit);
    Html(VerifyPage { frame, report: None, problem: None }).into_response()
}

/// `POST /audit/verify`: has the whole chain examined. It writes nothing; it is a form because it takes long.
pub(super) async fn verify(visit: Visit, _fields: Fields) -> Result<Response, Problem> {
    let (report, problem) = match visit.rest.get("/store/verify").await {
        Ok(report) => (Some(report), None),
        Err(problem) => (None, Some(problem)),
    };
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    Ok((status, Html(VerifyPage { frame: verify_frame(&visit), report, problem })).into_response())
}

fn verify_frame(visit: &Visit) -> Frame {
    let mut frame = visit.frame("Verify the chain", NavPlace::Audit);
    frame.live = false;
    frame
}
