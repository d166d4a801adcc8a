//! Every counter of this process, and the text that they make.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use everfold_engine::clock;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::label::LabelValue;
use super::process;

/// What the text is: OpenMetrics, which Prometheus reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds for what takes from a fraction of a millisecond to some seconds.
pub(crate) const FAST: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Bounds for what takes from a second to a day.
pub(crate) const SLOW: [f64; 12] =
    [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0];

/// One label, whose name is that of its field.
type Labelled<M> = Family<Vec<(&'static str, LabelValue)>, M>;

/// Everything that is measured.
pub struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) events: Labelled<Counter>,
    pub(crate) attempts: Labelled<Counter>,
    pub(crate) verdicts: Labelled<Counter>,
    pub(crate) runs_ended: Labelled<Counter>,
    pub(crate) step: Labelled<Histogram>,
    pub(crate) step_calls: Labelled<Counter>,
    pub(crate) step_tokens: Labelled<Counter>,
    pub(crate) step_cost: Labelled<Counter<f64, AtomicU64>>,
    pub(crate) gate: Labelled<Histogram>,
    pub(crate) requests: Labelled<Counter>,
    pub(crate) request: Labelled<Histogram>,
    pub(crate) streams: Gauge,
    pub(crate) appends: Labelled<Histogram>,
    pub(crate) flush: Histogram,
    pub(crate) batch: Histogram,
    pub(crate) written: Counter,
}

/// What is worked out when it is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricsSnapshot {
    /// Runs by status.
    pub runs: Vec<(&'static str, u64)>,
    /// Attempts that are being made.
    pub attempts: u64,
    /// Seconds since the oldest open task was asked.
    pub oldest_task: f64,
    /// Seconds since the oldest queued run began to wait.
    pub oldest_queued: f64,
    /// Open tasks.
    pub tasks: u64,
    /// The last event's position.
    pub position: u64,
    /// Events that each read model has still to take.
    pub lag: Vec<(&'static str, u64)>,
    /// Runs that are set aside.
    pub set_aside: u64,
    /// Notices that were given up.
    pub notices_lost: u64,
}

fn fast() -> Histogram {
    Histogram::new(FAST)
}

fn slow() -> Histogram {
    Histogram::new(SLOW)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("everfold");
        let begun: Gauge = Gauge::default();
        begun.set(clock::now().0.div_euclid(1_000));
        let start = "When this program began to measure, as Unix time";
        registry.register_with_unit("process_start_time", start, Unit::Seconds, begun);
        let metrics = Self {
            events: Family::default(),
            attempts: Family::default(),
            verdicts: Family::default(),
            runs_ended: Family::default(),
            step: Family::new_with_constructor(slow),
            step_calls: Family::default(),
            step_tokens: Family::default(),
            step_cost: Family::default(),
            gate: Family::new_with_constructor(slow),
            requests: Family::default(),
            request: Family::new_with_constructor(fast),
            streams: Gauge::default(),
            appends: Family::new_with_constructor(fast),
            flush: fast(),
            batch: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0]),
            written: Counter::default(),
            registry: Mutex::new(Registry::default()),
        };
        metrics.begin_at_nothing();
        registry.register("events", "Events recorded, by type", metrics.events.clone());
        registry.register("attempts", "Attempts that ended, by result", metrics.attempts.clone());
        registry.register("gate_verdicts", "Verdicts of gates", metrics.verdicts.clone());
        registry.register("runs_ended", "Runs that ended, by status", metrics.runs_ended.clone());
        let seconds = Unit::Seconds;
        let step = "From the scheduling of a step's attempt to its end, by result";
        registry.register_with_unit("step_duration", step, seconds.clone(), metrics.step.clone());
        let calls = "Attempts of a step that ended, by result; cut: by a time limit, a budget, a cancel or a limit of the agent's program";
        registry.register("step_calls", calls, metrics.step_calls.clone());
        let tokens = "Tokens that a step used up, by kind";
        registry.register("step_tokens", tokens, metrics.step_tokens.clone());
        registry.register("step_cost_usd", "US dollars that a step used up", metrics.step_cost.clone());
        let gate = "What a probe of a gate took, by verdict";
        registry.register_with_unit("gate_duration", gate, seconds.clone(), metrics.gate.clone());
        registry.register("http_requests", "Requests, by route, method and status", metrics.requests.clone());
        let request = "What a request took until its answer began, by route";
        registry.register_with_unit(
            "http_request_duration",
            request,
            seconds.clone(),
            metrics.request.clone(),
        );
        let streams = "Streams of server-sent events that are fed";
        registry.register("streams_open", streams, metrics.streams.clone());
        let append = "From an append's arrival to its answer, which is durable, by result";
        registry.register_with_unit(
            "store_append_duration",
            append,
            seconds.clone(),
            metrics.appends.clone(),
        );
        let flush = "Writing and flushing one group of appends";
        registry.register_with_unit("store_flush_duration", flush, seconds, metrics.flush.clone());
        registry.register(
            "store_batch_appends",
            "Appends that one flush made durable",
            metrics.batch.clone(),
        );
        let written = "Bytes written to the journal";
        registry.register_with_unit("store_written", written, Unit::Bytes, metrics.written.clone());
        let version = vec![("version", env!("CARGO_PKG_VERSION").into())];
        let build: Labelled<Gauge> = Family::default();
        build.get_or_create(&version).set(1);
        registry.register("build_info", "This program", build);
        Self { registry: Mutex::new(registry), ..metrics }
    }
}

impl Metrics {
    /// Shows the counts of which every value of the label is known from the start: a count that appears as 1 has not grown for
    /// Prometheus.
    fn begin_at_nothing(&self) {
        for result in ["succeeded", "failed", "lost"] {
            drop(self.attempts.get_or_create(&vec![("result", result.into())]));
        }
        for status in ["succeeded", "failed", "cancelled"] {
            drop(self.runs_ended.get_or_create(&vec![("status", status.into())]));
        }
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// Never in practice: a text is written to.
    pub fn text(&self, moment: &MetricsSnapshot) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        let mut now = Registry::with_prefix("everfold");
        let labelled = |label: &'static str, values: &[(&'static str, u64)]| {
            let family: Labelled<Gauge> = Family::default();
            for (value, count) in values {
                let gauge = family.get_or_create(&vec![(label, (*value).into())]);
                gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
            family
        };
        now.register("runs", "Runs, by status", labelled("status", &moment.runs));
        let lag = labelled("projection", &moment.lag);
        now.register("projection_lag_events", "Events that a read model has still to take", lag);
        let whole = |count: u64| {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            gauge
        };
        now.register("attempts_in_flight", "Attempts that are being made", whole(moment.attempts));
        now.register(
            "tasks_open",
            "Approvals, questions and blocked steps that wait for people",
            whole(moment.tasks),
        );
        now.register("store_position", "The last event's position", whole(moment.position));
        now.register("runs_set_aside", "Runs that cannot be gone on with", whole(moment.set_aside));
        now.register(
            "notices_lost",
            "Notices that were given up and not dropped since",
            whole(moment.notices_lost),
        );
        let fraction = |value: f64| {
            let gauge: Gauge<f64, AtomicU64> = Gauge::default();
            gauge.set(value);
            gauge
        };
        let task = "How long the oldest open task has waited";
        now.register_with_unit("task_oldest_age", task, Unit::Seconds, fraction(moment.oldest_task));
        let queued = "How long the oldest queued run has waited";
        now.register_with_unit("queue_oldest_age", queued, Unit::Seconds, fraction(moment.oldest_queued));
        process::register(&mut now);
        // Both texts end with the mark of the end; one is enough.
        let end = "# EOF\n";
        text.truncate(text.len() - end.len().min(text.len()));
        encode(&mut text, &now)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_one_document_with_units_in_its_names() {
        let metrics = Metrics::default();
        metrics.events.get_or_create(&vec![("type", "RunStarted".into())]).inc();
        metrics.flush.observe(0.002);
        let moment = MetricsSnapshot {
            runs: vec![("running", 3)],
            lag: vec![("board", 0)],
            ..MetricsSnapshot::default()
        };
        let text = metrics.text(&moment).unwrap();
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
        for line in [
            "everfold_events_total{type=\"RunStarted\"} 1",
            "everfold_store_flush_duration_seconds_count 1",
            "everfold_runs{status=\"running\"} 3",
            "everfold_attempts_total{result=\"lost\"} 0",
            "everfold_process_start_time_seconds 1",
            "everfold_projection_lag_events{projection=\"board\"} 0",
            "everfold_process_resident_memory_bytes ",
            "# UNIT everfold_store_written_bytes bytes",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
