//! Sending spans: in batches, again where the collector is away, bounded.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_workflows::http::{HttpClient, HttpRequest};
use hyper::Method;
use serde_json::{Value, json};

use super::span::{TraceSpan, attributes};

/// Spans that wait at most; the oldest are let go.
const WAITING_MAX: usize = 20_000;
/// Spans of one request.
const BATCH: usize = 500;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where spans go, as the environment says.
#[derive(Clone)]
pub(super) struct Collector {
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, String>,
    service: String,
}

impl Collector {
    /// One at an address.
    #[cfg(test)]
    pub(super) fn new(url: String, headers: BTreeMap<String, String>) -> Self {
        Self { url, headers, service: "everfold".to_owned() }
    }

    /// What the standard variables of OpenTelemetry say; `None`: nothing is sent.
    ///
    /// # Errors
    /// Why nothing can be sent to the collector that they name.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let said = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // What is said of traces goes before what is said of all signals.
        let of_traces = |name: &str| {
            let own = said(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
            own.or_else(|| said(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let is =
            |name: &str, wanted: &str| said(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let base = || {
            let base = said("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}/v1/traces", base.trim().trim_end_matches('/')))
        };
        let Some(url) = said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(base) else { return Ok(None) };
        if of_traces("PROTOCOL").is_some_and(|protocol| protocol.trim().eq_ignore_ascii_case("grpc")) {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and traces go by http/json: name the collector's port for HTTP \
                 (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, in place of {url}) with OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"
            ));
        }
        // As in a header of W3C Baggage: values are percent-encoded.
        let header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
            Some((name.trim().to_owned(), value))
        };
        Ok(Some(Self {
            url,
            headers: of_traces("HEADERS").unwrap_or_default().split(',').filter_map(header).collect(),
            service: said("OTEL_SERVICE_NAME").unwrap_or_else(|| "everfold".to_owned()),
        }))
    }
}

/// Sends what is put, when it is flushed.
pub(super) struct SpanSender {
    collector: Collector,
    client: HttpClient,
    waiting: VecDeque<TraceSpan>,
    /// The time since the last failure, and the pause that follows it.
    paused: Option<(Stopwatch, Duration)>,
    lost: u64,
}

impl SpanSender {
    pub(super) fn new(collector: Collector) -> Self {
        Self { collector, client: HttpClient::new(), waiting: VecDeque::new(), paused: None, lost: 0 }
    }

    pub(super) fn put(&mut self, span: TraceSpan) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(span);
    }

    pub(super) async fn flush(&mut self) {
        if self.paused.as_ref().is_some_and(|(since, pause)| since.elapsed() < *pause) {
            return;
        }
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(BATCH);
            let spans: Vec<Value> = self.waiting.iter().take(count).map(TraceSpan::json).collect();
            match self.send(spans).await {
                Ok(()) => {
                    self.waiting.drain(..count);
                    if self.paused.take().is_some() {
                        tracing::info!(lost = self.lost, "traces are sent again");
                        self.lost = 0;
                    }
                }
                Err(SendError::Passing(why)) => {
                    let pause =
                        self.paused.as_ref().map_or(PAUSE_MIN, |(_, pause)| (*pause * 2).min(PAUSE_MAX));
                    if self.paused.is_none() {
                        tracing::warn!(waiting = self.waiting.len(), "traces cannot be sent: {why}");
                    }
                    self.paused = Some((Stopwatch::start(), pause));
                    return;
                }
                Err(SendError::ForGood(why)) => {
                    tracing::warn!(spans = count, "the collector does not take spans: {why}");
                    self.waiting.drain(..count);
                }
            }
        }
    }

    async fn send(&self, spans: Vec<Value>) -> Result<(), SendError> {
        let version = env!("CARGO_PKG_VERSION");
        let resource = [("service.name", json!(self.collector.service)), ("service.version", json!(version))];
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": attributes(&resource) },
            "scopeSpans": [{ "scope": { "name": "everfold", "version": version }, "spans": spans }],
        }] });
        let mut headers = self.collector.headers.clone();
        headers.insert("Content-Type".to_owned(), "application/json".to_owned());
        let request = HttpRequest {
            method: Method::POST,
            headers,
            body: Some(body.to_string().into_bytes()),
            timeout: TIMEOUT,
            body_bytes_max: 4 * 1024,
            ..HttpRequest::get(self.collector.url.clone())
        };
        let answer =
            self.client.send(request).await.map_err(|error| SendError::Passing(error.to_string()))?;
        match answer.status {
            200..=299 => Ok(()),
            // As the protocol says: these are to be repeated, the others not.
            429 | 502 | 503 | 504 => Err(SendError::Passing(format!("it answered {}", answer.status))),
            status => Err(SendError::ForGood(format!("it answered {status}"))),
        }
    }
}

enum SendError {
    Passing(String),
    ForGood(String),
}
