//! `/moment`: goes to a page as it was at a moment that somebody typed.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::moment::{WrittenMoment, zone};
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::login::own_path;
use crate::problem::Problem;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MomentParams {
    /// Which page: a path of this server.
    here: String,
    /// As people write it.
    at: String,
    /// The name of the viewer's zone, which a script fills in; without it times are in UTC.
    zone: Option<String>,
}

#[derive(Template)]
#[template(path = "board/moment.html")]
struct MomentPage {
    frame: Frame,
    problem: Problem,
    here: String,
    typed: String,
}

pub(crate) async fn chosen(visit: Visit, Query(params): Query<MomentParams>) -> Response {
    let here = own_path(Some(&params.here));
    let mut frame = visit.frame("Another moment", NavPlace::Elsewhere);
    // The frame is used for the address only: a page without its moment, which gets the chosen one.
    frame.here = here.to_owned();
    frame.live = false;
    match WrittenMoment::read(&params.at, Timestamp::now(), &zone(params.zone.as_deref())) {
        Ok(moment) => Redirect::to(&frame.here_at(&moment.canonical().unwrap_or_default())).into_response(),
        Err(detail) => {
            let problem = Problem { title: "This is no moment".to_owned(), ..Problem::invalid(detail) };
            // The text is none that routes know; the page and its links are of now.
            frame.at = None;
            frame.here = "/moment".to_owned();
            let status = problem.status();
            let page = MomentPage { frame, problem, here: here.to_owned(), typed: params.at };
            (status, Html(page)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_leads_to_pages_of_this_server_only() {
        for path in
            ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "runs", "", "/a\nb"]
        {
            assert_eq!(own_path(Some(path)), "/", "{path:?}");
        }
        assert_eq!(own_path(Some("/runs?status=failed")), "/runs?status=failed");
    }
}
