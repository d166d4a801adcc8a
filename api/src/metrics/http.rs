//! How requests do.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use everfold_engine::clock::Stopwatch;

use super::Metrics;

/// Counts a request by its route; what is no route counts as one.
pub async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", |route| route.as_str()).to_owned();
    let method = request.method().as_str().to_owned();
    let since = Stopwatch::start();
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    let known = vec![("method", method), ("route", route.clone()), ("status", status)];
    metrics.requests.get_or_create(&known).inc();
    metrics.request.get_or_create(&vec![("route", route)]).observe(since.elapsed().as_secs_f64());
    response
}
