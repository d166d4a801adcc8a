//! A rendered template as an answer.

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// A template that is an answer.
#[derive(Debug)]
pub(crate) struct Html<T>(pub(crate) T);

impl<T: Template> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => answer(text),
            Err(error) => Problem::within(format!("a page could not be rendered: {error}")).into_response(),
        }
    }
}

/// A text of HTML as an answer. Pages are of their caller, so nothing between keeps them.
pub(crate) fn answer(text: String) -> Response {
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        // With no-referrer browsers would send `Origin: null` with forms, which reveals too little to let them in, and
        // after a login nobody would come back to the form.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (head, text).into_response()
}
