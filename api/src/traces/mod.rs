//! Runs as traces, sent by OTLP where a build has the feature `otlp` and the environment names a collector.

#[cfg(feature = "otlp")]
mod fold;
#[cfg(feature = "otlp")]
mod follow;
#[cfg(feature = "otlp")]
mod send;
#[cfg(feature = "otlp")]
mod span;
#[cfg(all(test, feature = "otlp"))]
mod tests;

use std::sync::Arc;

use axum::http::HeaderMap;
use everfold_engine::id::RunId;
use everfold_engine::store::EventStore;

/// What an owner holds of the traces of its runs.
#[derive(Default)]
pub(crate) struct Traces {
    #[cfg(feature = "otlp")]
    requests: Arc<follow::Requests>,
    #[cfg(feature = "otlp")]
    task: std::sync::Mutex<Option<follow::Tracing>>,
}

#[cfg(feature = "otlp")]
impl Traces {
    /// Begins to send, once, where the environment names a collector.
    pub(crate) fn begin(&self, store: &Arc<dyn EventStore>) {
        let Some(collector) = send::Collector::of_environment() else { return };
        let mut task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if task.is_none() {
            let requests = Arc::clone(&self.requests);
            *task = Some(follow::Tracing::begin(Arc::clone(store), requests, collector));
        }
    }

    /// A request started a run: its trace is linked with the request's, where that says its own.
    pub(crate) fn started_by(&self, run: RunId, headers: &HeaderMap) {
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        if let Some(remote) = parent.and_then(span::Remote::read) {
            self.requests.note(run, remote);
        }
    }

    /// Sends what is left.
    pub(crate) async fn end(&self) {
        let task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task {
            task.end().await;
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Traces {
    /// Says where it is expected to send that it cannot.
    pub(crate) fn begin(&self, _store: &Arc<dyn EventStore>) {
        if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
            tracing::info!("no traces are sent: this everfold was built without the feature `otlp`");
        }
    }

    pub(crate) fn started_by(&self, _run: RunId, _headers: &HeaderMap) {}

    pub(crate) async fn end(&self) {}
}
