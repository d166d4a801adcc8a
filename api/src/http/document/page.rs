//! The document as JSON and as a page for people.
//!
//! Law: the program holds all of the page: the browser asks no other host for anything, and the page has no inline
//! script.

use axum::Extension;
use axum::body::Bytes;
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::uncompressed::Uncompressed;
use crate::fault::{Code, Fault};
use crate::http::extract::Path;

/// A function that gives the text of the document. It comes in the extensions of requests: the document is made of all
/// routes, and these handlers are among them, so they cannot name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DocumentText(pub(crate) fn() -> Bytes);

const PAGE: &str = include_str!("../../../assets/reference.html");
const SCRIPT: &str = include_str!("../../../assets/reference.js");
const ICON: &str = include_str!("../../../assets/icon.svg");
const STYLE: &str = include_str!("../../../assets/reference.css");

/// `GET /api/openapi.json`: this document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "document",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(crate) async fn json(Extension(DocumentText(text)): Extension<DocumentText>) -> Result<Response, Fault> {
    let answer = ([(header::CONTENT_TYPE, "application/json")], Extension(Uncompressed), text());
    Ok(answer.into_response())
}

/// `GET /api`: this document as a page.
#[utoipa::path(
    get,
    path = "/api",
    tag = "document",
    responses((status = 200, description = "A page of HTML.", body = String, content_type = "text/html; charset=utf-8"))
)]
pub(crate) async fn page() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], Extension(Uncompressed), PAGE).into_response()
}

/// `GET /api/{file}`: what the page is made of.
#[utoipa::path(
    get,
    path = "/api/{file}",
    tag = "document",
    responses((status = 200, description = "A script, a style sheet or the icon.", content(
        (String = "text/javascript; charset=utf-8"),
        (String = "text/css; charset=utf-8"),
        (String = "image/svg+xml")
    )))
)]
pub(crate) async fn file(Path(file): Path<String>, uri: Uri) -> Result<Response, Fault> {
    let (kind, text) = match file.as_str() {
        "reference.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "reference.css" => ("text/css; charset=utf-8", STYLE),
        "icon.svg" => ("image/svg+xml", ICON),
        _other => return Err(Fault::new(Code::NoRoute, format!("there is nothing at {}", uri.path()))),
    };
    Ok(([(header::CONTENT_TYPE, kind)], Extension(Uncompressed), text).into_response())
}
