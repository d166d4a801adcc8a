//! Requests over the routes, as a client within the process sends them.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::engine::BenchError;
use crate::access::Caller;

/// What a page cost.
pub(super) struct PageCost {
    pub(super) name: &'static str,
    pub(super) first: Duration,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// Of the page, not compressed.
    pub(super) bytes: usize,
}

/// Asks to the last byte; resolves with the length of the answer.
pub(super) async fn asked(routes: Router, request: Request) -> Result<usize, BenchError> {
    answer(routes, request).await.map(|bytes| bytes.len())
}

/// Asks, and gives the answer.
pub(super) async fn answer(routes: Router, mut request: Request) -> Result<Bytes, BenchError> {
    request.extensions_mut().insert(Caller::local("bench"));
    let path = request.uri().to_string();
    let answer = routes.oneshot(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("{path} answers {status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(body)
}
