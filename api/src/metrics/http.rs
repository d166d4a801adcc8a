//! Counts requests for the metrics.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use everfold_engine::clock::Stopwatch;

use super::label::LabelValue;
use super::registry::Metrics;

/// Counts a request by its route; what is no route counts as one.
pub async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = LabelValue::route(request.extensions().get());
    let method = LabelValue::method(request.method());
    let since = Stopwatch::start();
    let response = next.run(request).await;
    let status = LabelValue::status(response.status());
    let known = vec![("method", method), ("route", route.clone()), ("status", status)];
    metrics.requests.get_or_create(&known).inc();
    metrics.request.get_or_create(&vec![("route", route)]).observe(since.elapsed().as_secs_f64());
    response
}
