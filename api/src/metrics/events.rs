//! Counts the events of runs for the metrics.
//!
//! Law: follows the log beside the engine and never slows it; what cannot be read is passed over,
//! because the read models report it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use everfold_engine::envelope::{Envelope, StreamId, flag};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{AttemptId, RunId, Version};
use everfold_engine::store::EventStore;
use everfold_engine::time::Timestamp;
use tokio_util::sync::CancellationToken;

use super::registry::Metrics;
use super::steps::StepMeter;
use crate::event_follower::EventFollower;

/// Attempts whose beginning is remembered; of more, those of the oldest runs are not timed.
const OPEN_MAX: usize = 100_000;

/// When the attempts began that have not ended, of runs that have not ended.
#[derive(Default)]
struct BegunAttempts {
    runs: BTreeMap<RunId, HashMap<AttemptId, Timestamp>>,
    attempts: usize,
}

impl BegunAttempts {
    fn began(&mut self, run: RunId, id: AttemptId, at: Timestamp) {
        if self.runs.entry(run).or_default().insert(id, at).is_none() {
            self.attempts += 1;
        }
        // The ids of runs are ordered by time.
        while self.attempts > OPEN_MAX
            && let Some((_oldest, attempts)) = self.runs.pop_first()
        {
            self.attempts -= attempts.len();
        }
    }

    fn ended(&mut self, run: RunId, id: &AttemptId) -> Option<Timestamp> {
        let attempts = self.runs.get_mut(&run)?;
        let at = attempts.remove(id)?;
        self.attempts -= 1;
        if attempts.is_empty() {
            self.runs.remove(&run);
        }
        Some(at)
    }

    /// Waits and cancelled work have no end of their own.
    fn run_ended(&mut self, run: RunId) {
        self.attempts -= self.runs.remove(&run).map_or(0, |attempts| attempts.len());
    }
}

/// Counts events.
pub struct Meter {
    metrics: Arc<Metrics>,
    steps: StepMeter,
    begun: BegunAttempts,
    /// The counters of event types, which are asked for with every event.
    types: HashMap<&'static str, prometheus_client::metrics::counter::Counter>,
}

impl Meter {
    /// A meter that has seen nothing.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let steps = StepMeter::new(Arc::clone(&metrics));
        Self { metrics, steps, begun: BegunAttempts::default(), types: HashMap::new() }
    }

    /// The run of an event that is counted by its step, where the run's pipeline is not known yet: it began before this
    /// process did.
    fn unknown_run(&self, envelope: &Envelope) -> Option<RunId> {
        let run = envelope.header.stream.as_run().filter(|_| StepMeter::counts(envelope.header.kind))?;
        (!self.steps.knows(run)).then_some(run)
    }

    /// Counts one event.
    pub fn count(&mut self, envelope: &Envelope) {
        let header = &envelope.header;
        let Some(run) = header.stream.as_run() else { return };
        if header.flags & flag::FORMER != 0 {
            return;
        }
        if let Some(name) = RunEvent::name_of(header.kind) {
            let metrics = &self.metrics;
            let counter = self
                .types
                .entry(name)
                .or_insert_with(|| metrics.events.get_or_create(&vec![("type", name.into())]).clone());
            counter.inc();
        }
        let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) else { return };
        let at = header.recorded_at;
        self.steps.count(run, &event);
        match event {
            RunEvent::StepScheduled(event) => self.begun.began(run, event.id, at),
            RunEvent::RetryScheduled(event) => self.begun.began(run, event.id, event.at),
            RunEvent::AttemptSucceeded(event) => self.ended(run, event.id, at, "succeeded"),
            RunEvent::AttemptFailed(event) => self.ended(run, event.id, at, "failed"),
            RunEvent::AttemptLost(event) => self.ended(run, event.id, at, "lost"),
            RunEvent::GateEvaluated(event) => {
                let verdict = event.verdict.as_str();
                let label = vec![("verdict", verdict.into())];
                self.metrics.verdicts.get_or_create(&label).inc();
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of one probe")]
                self.metrics.gate.get_or_create(&label).observe(event.took_ms as f64 / 1_000.0);
            }
            RunEvent::RunSucceeded(_) => self.run_ended(run, "succeeded"),
            RunEvent::RunFailed(_) => self.run_ended(run, "failed"),
            RunEvent::RunCancelled(_) => self.run_ended(run, "cancelled"),
            _other => {}
        }
    }

    fn ended(&mut self, run: RunId, id: AttemptId, at: Timestamp, result: &'static str) {
        let label = vec![("result", result.into())];
        self.metrics.attempts.get_or_create(&label).inc();
        if let Some(began) = self.begun.ended(run, &id) {
            self.metrics.step.get_or_create(&label).observe(at.since(began).as_secs_f64());
        }
    }

    fn run_ended(&mut self, run: RunId, status: &'static str) {
        self.begun.run_ended(run);
        self.steps.run_ended(run);
        self.metrics.runs_ended.get_or_create(&vec![("status", status.into())]).inc();
    }
}

/// Counts every event from here on, until `closing` or the log's end.
pub async fn follow(store: Arc<dyn EventStore>, metrics: Arc<Metrics>, closing: CancellationToken) {
    let mut meter = Meter::new(metrics);
    let mut events = EventFollower::from_now(Arc::clone(&store));
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            batch = events.next() => {
                let Some(batch) = batch else { return };
                for event in batch {
                    if let Some(run) = meter.unknown_run(&event)
                        && let Some(pipeline) = pipeline_of(&*store, run).await
                    {
                        meter.steps.name(run, &pipeline);
                    }
                    meter.count(&event);
                }
            }
        }
    }
}

/// The pipeline of a run, as its first event says; `None` where that cannot be read now.
async fn pipeline_of(store: &dyn EventStore, run: RunId) -> Option<String> {
    let page = store.read(&StreamId::run(run), Version::FIRST, 1).await.ok()?;
    let first = page.first()?;
    match event::decode(first.header.kind, first.header.schema, &first.payload).ok()? {
        RunEvent::RunStarted(event) => Some(event.pipeline),
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u64) -> RunId {
        format!("00000000-0000-0000-0000-{number:012}").parse().unwrap()
    }

    #[test]
    fn what_began_is_kept_until_it_ends_or_its_run_does_and_is_bounded() {
        let mut begun = BegunAttempts::default();
        let [one, other]: [AttemptId; 2] = ["a/1/1", "b/1/1"].map(|id| id.parse().unwrap());
        begun.began(run(1), one.clone(), Timestamp(7));
        begun.began(run(1), other.clone(), Timestamp(8));
        assert_eq!(begun.ended(run(1), &one), Some(Timestamp(7)));
        assert_eq!(begun.ended(run(1), &one), None);
        begun.run_ended(run(1));
        assert_eq!((begun.runs.len(), begun.attempts), (0, 0));
        for number in 0..=OPEN_MAX as u64 {
            begun.began(run(number), one.clone(), Timestamp(9));
        }
        assert_eq!((begun.runs.len(), begun.attempts), (OPEN_MAX, OPEN_MAX));
        assert_eq!(begun.ended(run(0), &one), None, "the oldest is not timed");
        assert_eq!(begun.ended(run(OPEN_MAX as u64), &one), Some(Timestamp(9)));
    }
}
