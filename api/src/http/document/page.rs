//! The document as JSON and as a page for people.
//!
//! Law: the page is whole within the program: no other host is asked for anything, and no script stands in it.

use std::sync::LazyLock;

use axum::Extension;
use axum::body::Bytes;
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::document;
use crate::fault::{Code, Fault};
use crate::http::extract::Path;

/// Marks an answer that goes out as it is: a compressor holds memory of its own for each reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uncompressed;

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
    // One copy for all who ask: callers without a token may ask often, and take nothing.
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    let answer = ([(header::CONTENT_TYPE, "application/json")], Extension(Uncompressed), TEXT.clone());
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
    Ok(([(header::CONTENT_TYPE, kind)], Extension(Uncompressed), text).into_response())
}
