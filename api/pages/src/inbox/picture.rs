//! Pictures that an approval shows.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::shown;
use crate::frame::Visit;
use crate::problem::Problem;

/// `GET /inbox/pictures/{run}/{hash}`: a picture that an approval shows.
pub(super) async fn picture(
    visit: Visit,
    Path((run, hash)): Path<(String, String)>,
) -> Result<Response, Problem> {
    if run.is_empty() || !run.bytes().all(|digit| digit.is_ascii_hexdigit() || digit == b'-') {
        return Err(Problem::not_found("this is no run"));
    }
    let bytes = shown::bytes(&visit, &run, &hash).await?;
    let kind = shown::picture_type(&bytes).ok_or_else(|| Problem::not_found("this is no picture"))?;
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
    ];
    Ok((head, bytes).into_response())
}
