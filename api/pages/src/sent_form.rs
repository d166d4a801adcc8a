//! Forms that a script of a page sends.
//!
//! Law: a script cannot read where a redirect leads before it was followed, so the address stands in the header
//! `hx-redirect` of an empty answer, and the script goes there as the browser would.

use axum::extract::Request;
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The header by which a script says that it sent the form.
const SENT_BY: HeaderName = HeaderName::from_static("x-sent-by");

/// Gives a script the address that a form leads to.
pub(crate) async fn named_address(request: Request, next: Next) -> Response {
    let is_script = request.headers().get(SENT_BY).is_some_and(|sent_by| sent_by == "script");
    let response = next.run(request).await;
    if !is_script || response.status() != StatusCode::SEE_OTHER {
        return response;
    }
    let Some(to) = response.headers().get(header::LOCATION).cloned() else { return response };
    let mut named = StatusCode::NO_CONTENT.into_response();
    let headers = named.headers_mut();
    for (name, value) in response.headers() {
        if *name != header::LOCATION && *name != header::CONTENT_LENGTH {
            headers.append(name, value.clone());
        }
    }
    headers.insert(HeaderName::from_static("hx-redirect"), to);
    named
}
