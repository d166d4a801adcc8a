//! Whether traces are sent, and the one task that sends them.

use std::sync::Arc;

use axum::http::HeaderMap;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::RunId;
use everfold_engine::store::EventStore;

use crate::settings::TracingSettings;

#[cfg(feature = "otlp")]
use super::{follow, requests, send, span};

/// What a node holds of the traces of its runs.
pub(crate) struct Traces {
    #[cfg(feature = "otlp")]
    settings: TracingSettings,
    #[cfg(feature = "otlp")]
    sending: std::sync::Mutex<Option<Sending>>,
}

#[cfg(feature = "otlp")]
struct Sending {
    requests: Arc<requests::RequestSpans>,
    task: follow::Tracing,
}

#[cfg(feature = "otlp")]
impl Traces {
    pub(crate) fn new(settings: TracingSettings) -> Self {
        Self { settings, sending: std::sync::Mutex::default() }
    }

    /// Begins to send, once, where the environment names a collector.
    pub(crate) fn begin(&self, store: &Arc<dyn EventStore>, layout: &Layout) {
        let Some(collector) = send::Collector::of_environment() else { return };
        let mut sending = self.sending();
        if sending.is_none() {
            let requests = Arc::new(requests::RequestSpans::kept_in(layout.traces()));
            let task = follow::Tracing::begin(
                Arc::clone(store),
                Arc::clone(&requests),
                collector,
                self.settings.genai,
            );
            *sending = Some(Sending { requests, task });
        }
    }

    fn sending(&self) -> std::sync::MutexGuard<'_, Option<Sending>> {
        self.sending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A request started a run: its trace is linked with the request's, where that says its own.
    pub(crate) fn started_by(&self, run: RunId, headers: &HeaderMap) {
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let Some(remote) = parent.and_then(span::RemoteSpan::read) else { return };
        let requests = self.sending().as_ref().map(|sending| Arc::clone(&sending.requests));
        if let Some(requests) = requests {
            requests.remember(run, remote);
            tokio::task::spawn_blocking(move || requests.keep(run));
        }
    }

    /// Sends what is left.
    pub(crate) async fn end(&self) {
        let sending = self.sending().take();
        if let Some(sending) = sending {
            sending.task.end().await;
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Traces {
    pub(crate) fn new(_unused: TracingSettings) -> Self {
        Self {}
    }

    /// Says where it is expected to send that it cannot.
    pub(crate) fn begin(&self, _store: &Arc<dyn EventStore>, _layout: &Layout) {
        if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
            tracing::info!("no traces are sent: this everfold was built without the feature `otlp`");
        }
    }

    pub(crate) fn started_by(&self, _run: RunId, _headers: &HeaderMap) {}

    pub(crate) async fn end(&self) {}
}
