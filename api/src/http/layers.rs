//! Layers around all routes: a request id, a time limit, headers for the safety of browsers, and `ETag`.
//!
//! Law: an answer to a read has an `ETag`, and a caller that already has that answer gets 304 without a body. The tag
//! is a hash of the answer itself, so that it changes with the answer and with nothing else.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tracing::Instrument as _;

use super::accepted::weighed;
use super::app::BODY_BYTES_MAX;
use super::byte_reservation::AnswerReservation;
use super::read_turns::ReadTurns;
use crate::fault::{Code, Fault};

/// The header with the request id, which answers and logs name.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is accepted from a caller.
const ID_BYTES_MAX: usize = 128;
/// How long an answer may take to begin.
const WITHIN: Duration = Duration::from_secs(120);

/// What browsers may load for a page: nothing but what this server serves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Gives a request its id, and its answer that id and the headers for browsers. Requests over TCP pass it twice, so
/// that refusals before the routes have the headers, too; the id stays the same.
pub async fn with_request_id(mut request: Request, next: Next) -> Response {
    let id = id_of(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Answers within a time limit, and with 304 where the caller already has the answer.
pub(super) async fn within_time(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let reader = AnswerReservation::of(&request);
    let mut reads = ReadTurns::of(&request, &route).filter(|_| !takes_its_time(&route));
    if let Some(later) = reads.take_if(|_| ReadTurns::are_taken_later(&request, &route)) {
        request.extensions_mut().insert(later.after_waiting());
    }
    // A span of the level ERROR, so that every filter lets it through.
    let span = tracing::error_span!("request", request = id, %method, route);
    // Held until the answer has its bytes reserved: what is being made of answers is bounded, too.
    let mut turn = None;
    let answered = async {
        if takes_its_time(&route) {
            return next.run(request).await;
        }
        let in_turn = async {
            if let Some(reads) = &reads {
                match reads.turn().await {
                    Ok(given) => turn = Some(given),
                    Err(fault) => return fault.into_response(),
                }
            }
            next.run(request).await
        };
        tokio::time::timeout(WITHIN, in_turn).await.unwrap_or_else(|_| {
            let what = format!("no answer after {} s", WITHIN.as_secs());
            tracing::warn!("{what}");
            Fault::new(Code::TooLong, what).hint("repeat it with the same Idempotency-Key").into_response()
        })
    };
    let watch = everfold_engine::clock::Stopwatch::start();
    let mut response = answered.instrument(span.clone()).await;
    span.in_scope(|| {
        let took_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status = response.status().as_u16(), took_ms, "answered");
    });
    if is_secret(&route) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if method == Method::GET || method == Method::HEAD {
        response = tagged(response, known.as_ref()).await;
    }
    let response = reader.answered(response).await;
    drop(turn);
    response
}

/// Leaves out `Accept-Encoding` where it allows no encoding at all: such an answer comes as it is, since what was asked
/// for is done by then (RFC 9110, 12.5.3, lets a server do either). And of `HEAD`: how long an answer is when it is
/// compressed is not known without it.
pub(super) async fn with_some_encoding(mut request: Request, next: Next) -> Response {
    let asked = weighed(request.headers(), &header::ACCEPT_ENCODING);
    if request.method() == Method::HEAD || forbids_all(&asked) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    next.run(request).await
}

/// Whether a list of encodings forbids answers as they are, and names no other encoding.
fn forbids_all(asked: &[(String, f32)]) -> bool {
    let is_any = |name: &str| matches!(name, "identity" | "*");
    let is_some_allowed = asked.iter().any(|(_, weight)| *weight > 0.0);
    !is_some_allowed && asked.iter().any(|(name, _)| is_any(name))
}

/// The id that the request brought, where it is valid, or a new one.
fn id_of(headers: &HeaderMap) -> HeaderValue {
    let is_id = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        !bytes.is_empty() && bytes.len() <= ID_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(is_id).cloned().unwrap_or_else(|| {
        let drawn = format!("{:032x}", everfold_engine::clock::draw_u128());
        // Hexadecimal digits always are a valid header value.
        HeaderValue::from_str(&drawn).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Routes without the usual time limit, since they read much before they answer.
fn takes_its_time(route: &str) -> bool {
    matches!(route, "/api/v1/store/verify" | "/api/v1/runs/{run}/replay" | "/api/v1/audit/backtest")
}

/// Routes whose answers no cache may store.
pub(super) fn is_secret(route: &str) -> bool {
    route.starts_with("/api/v1/tokens") || route.starts_with("/api/v1/session")
}

/// The answer with its tag, or 304 where the caller has it.
async fn tagged(response: Response, known: Option<&HeaderValue>) -> Response {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let is_kept = !response.headers().contains_key(header::CACHE_CONTROL);
    let size = response.body().size_hint().exact();
    if response.status() != StatusCode::OK
        || !is_json
        || !is_kept
        || size.is_none_or(|size| size > BODY_BYTES_MAX as u64)
    {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Fault::new(Code::Internal, error.to_string()).into_response(),
    };
    let tag = format!("W/\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
    let is_known = known.and_then(|known| known.to_str().ok()).is_some_and(|known| {
        known.split(',').map(str::trim).any(|one| one == "*" || strong(one) == strong(&tag))
    });
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        head.headers.insert(header::ETAG, tag);
    }
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    // Beside what the route says that its answer depends on.
    head.headers.append(header::VARY, HeaderValue::from_static("authorization, cookie"));
    if is_known {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

/// A tag without `W/`: `If-None-Match` compares weakly.
fn strong(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_caller_that_allows_no_encoding_is_taken_to_allow_the_plain_one() {
        let forbids = |asked: &str| {
            let value = HeaderValue::from_str(asked).unwrap();
            let headers: HeaderMap = [(header::ACCEPT_ENCODING, value)].into_iter().collect();
            forbids_all(&weighed(&headers, &header::ACCEPT_ENCODING))
        };
        for asked in ["identity;q=0", "identity;q=0, *;q=0", "*; q=0", "IDENTITY;q=0.0", "gzip;q=0, *;q=0"] {
            assert!(forbids(asked), "{asked}");
        }
        for asked in ["", "gzip", "gzip, identity;q=0", "identity", "br;q=0.5, *;q=0", "gzip;q=0"] {
            assert!(!forbids(asked), "{asked}");
        }
    }
}
