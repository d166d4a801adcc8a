//! The page of the login, with why nobody was logged in where that is so.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::own_path::own_path;
use crate::html::Html;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    assets: &'static str,
    code: Option<String>,
    to: String,
    problem: Option<Problem>,
    /// What was typed into a form that came too late.
    words: String,
}

/// The page, for the code of a link or for a token; `to` is where to go then.
pub(super) fn shown(code: Option<String>, to: Option<&str>, problem: Option<Problem>) -> Response {
    shown_with(code, to, problem, String::new())
}

/// The same with what was typed into a form that came too late, to be copied.
pub(super) fn shown_with(
    code: Option<String>,
    to: Option<&str>,
    problem: Option<Problem>,
    words: String,
) -> Response {
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    let to = own_path(to).to_owned();
    // The code of a link that is over helps nobody, a token does.
    let code = code.filter(|_| problem.is_none());
    let mut response =
        Html(LoginPage { assets: crate::assets::hash(), code, to, problem, words }).into_response();
    *response.status_mut() = status;
    unkept(response)
}

/// An answer that nothing between keeps.
pub(super) fn unkept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
