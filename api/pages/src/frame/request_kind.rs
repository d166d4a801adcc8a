//! What a request's headers say of who reads the answer.

use axum::http::HeaderMap;

/// Whether the caller reads pages: browsers say so, programs do not.
pub(crate) fn reads_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get("accept").and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    accepted.contains("text/html")
}

/// Whether a script asks, which puts the answer into a page that is there.
pub(crate) fn is_partial(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}
