//! Whether traces are sent, and the one task that sends them.

use std::sync::Arc;

use axum::http::HeaderMap;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::RunId;
use everfold_engine::store::EventStore;

use super::{follow, requests, send, span};
use crate::settings::TracingSettings;

/// What a node holds of the traces of its runs.
pub(crate) struct Traces {
    settings: TracingSettings,
    sending: std::sync::Mutex<Option<Sending>>,
}

struct Sending {
    requests: Arc<requests::RequestSpans>,
    task: follow::Tracing,
}

impl Traces {
    pub(crate) fn new(settings: TracingSettings) -> Self {
        Self { settings, sending: std::sync::Mutex::default() }
    }

    /// Begins to send, once, where the environment names a collector.
    pub(crate) fn begin(&self, store: &Arc<dyn EventStore>, layout: &Layout) {
        let collector = match send::Collector::of(|name| std::env::var(name).ok()) {
            Ok(Some(collector)) => collector,
            Ok(None) => return,
            Err(why) => return tracing::warn!("no traces are sent: {why}"),
        };
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
