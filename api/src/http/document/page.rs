//! The document as JSON and as a page for people.
//!
//! Law: the page is whole within the program: no other host is asked for anything, and no script stands in it.

use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::document;
use crate::fault::{Code, Fault};
use crate::http::extract::Path;

const PAGE: &str = include_str!("../../../assets/reference.html");
const SCRIPT: &str = include_str!("../../../assets/reference.js");
const STYLE: &str = include_str!("../../../assets/reference.css");

/// `GET /api/openapi.json`: this document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "document",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(crate) async fn json() -> Result<Response, Fault> {
    let text = document().to_json().map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// `GET /api`: this document as a page.
#[utoipa::path(
    get,
    path = "/api",
    tag = "document",
    responses((status = 200, description = "A page of HTML.", body = String, content_type = "text/html; charset=utf-8"))
)]
pub(crate) async fn page() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()
}

/// `GET /api/{file}`: what the page is made of.
#[utoipa::path(
    get,
    path = "/api/{file}",
    tag = "document",
    responses((status = 200, description = "A script or a style sheet.", content(
        (String = "text/javascript; charset=utf-8"),
        (String = "text/css; charset=utf-8")
    )))
)]
pub(crate) async fn file(Path(file): Path<String>, uri: Uri) -> Result<Response, Fault> {
    let (kind, text) = match file.as_str() {
        "reference.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "reference.css" => ("text/css; charset=utf-8", STYLE),
        _other => return Err(Fault::new(Code::NoRoute, format!("there is nothing at {}", uri.path()))),
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
