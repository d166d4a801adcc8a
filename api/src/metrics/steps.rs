//! Counts what the steps of each pipeline did and used up.
//!
//! Law: so many steps of pipelines at most have series of their own, in the order in which they were first seen; all further ones
//! count together, as `_OTHER`. Items of a `foreach` count as their step.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use everfold_engine::event::{RunEvent, UsageRecorded};
use everfold_engine::failure::FailureKind;
use everfold_engine::id::{AttemptId, RunId};
use everfold_workflows::agent::UNFINISHED;
use lru::LruCache;

use super::label::LabelValue;
use super::registry::Metrics;

/// Steps of pipelines with series of their own.
const STEPS_MAX: usize = 1_000;
/// Runs whose pipeline is remembered.
const RUNS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Pipeline and step of a series.
type StepLabels = Vec<(&'static str, LabelValue)>;

/// Whether a code says that an agent's program ended before it had finished its answer.
fn is_unfinished(code: Option<&str>) -> bool {
    code.is_some_and(|code| UNFINISHED.contains(&code))
}

/// Counts by step.
pub(super) struct StepMeter {
    metrics: Arc<Metrics>,
    pipelines: LruCache<RunId, Arc<str>>,
    steps: HashSet<(Arc<str>, String)>,
    /// By the labels of a series: what was counted too much, in millionths of a US dollar. A counter never falls, so what
    /// comes next is counted less by it.
    too_much: HashMap<StepLabels, u64>,
    steps_max: usize,
}

impl StepMeter {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            pipelines: LruCache::new(RUNS_MAX),
            steps: HashSet::new(),
            too_much: HashMap::new(),
            steps_max: STEPS_MAX,
        }
    }

    /// Whether an event of this kind is counted by its step.
    pub(super) fn counts(kind: u16) -> bool {
        matches!(
            RunEvent::name_of(kind),
            Some("AttemptSucceeded" | "AttemptFailed" | "AttemptAsked" | "AttemptLost" | "UsageRecorded")
        )
    }

    /// Whether the pipeline of a run is known.
    pub(super) fn knows(&self, run: RunId) -> bool {
        self.pipelines.contains(&run)
    }

    /// A run is one of this pipeline.
    pub(super) fn name(&mut self, run: RunId, pipeline: &str) {
        self.pipelines.put(run, pipeline.into());
    }

    /// What comes of the run from here on asks for its pipeline again.
    pub(super) fn run_ended(&mut self, run: RunId) {
        self.pipelines.pop(&run);
    }

    pub(super) fn count(&mut self, run: RunId, event: &RunEvent) {
        match event {
            RunEvent::RunStarted(event) => self.name(run, &event.pipeline),
            RunEvent::AttemptSucceeded(event) => {
                let is_cut = is_unfinished(event.notes.code.as_deref());
                self.called(run, &event.id, if is_cut { "cut" } else { "succeeded" });
            }
            RunEvent::AttemptAsked(event) => self.called(run, &event.id, "asked"),
            RunEvent::AttemptLost(event) => self.called(run, &event.id, "lost"),
            RunEvent::AttemptFailed(event) => {
                let result = match event.failure.kind {
                    FailureKind::Timeout | FailureKind::Cancelled | FailureKind::Budget => "cut",
                    _of_its_own if is_unfinished(event.failure.code.as_deref()) => "cut",
                    _of_its_own => "failed",
                };
                self.called(run, &event.id, result);
            }
            RunEvent::UsageRecorded(event) => self.used(run, event),
            _other => {}
        }
    }

    fn called(&mut self, run: RunId, id: &AttemptId, result: &'static str) {
        let mut labels = self.labels(run, id);
        labels.push(("result", result.into()));
        self.metrics.step_calls.get_or_create(&labels).inc();
    }

    fn used(&mut self, run: RunId, report: &UsageRecorded) {
        let (labels, usage) = (self.labels(run, &report.id), &report.usage);
        let tokens =
            [("input", usage.input_tokens), ("cached", usage.cached_tokens), ("output", usage.output_tokens)];
        for (kind, number) in tokens {
            let mut labels = labels.clone();
            labels.push(("kind", kind.into()));
            self.metrics.step_tokens.get_or_create(&labels).inc_by(number);
        }
        let too_much = self.too_much.remove(&labels).unwrap_or(0).saturating_add(report.less_micros);
        let cost_micros = usage.cost_micros.saturating_sub(too_much);
        #[expect(clippy::cast_precision_loss, reason = "millionths of a dollar of one report")]
        self.metrics.step_cost.get_or_create(&labels).inc_by(cost_micros as f64 / 1e6);
        if too_much > usage.cost_micros {
            self.too_much.insert(labels, too_much - usage.cost_micros);
        }
    }

    fn labels(&mut self, run: RunId, id: &AttemptId) -> StepLabels {
        let step = id.path.step.to_string();
        let named = self.pipelines.get(&run).cloned().map(|pipeline| (pipeline, step));
        let named = named.filter(|named| {
            self.steps.contains(named)
                || (self.steps.len() < self.steps_max && self.steps.insert(named.clone()))
        });
        let (pipeline, step) = match named {
            Some((pipeline, step)) => (LabelValue::name(&pipeline), LabelValue::name(&step)),
            None => (LabelValue::other(), LabelValue::other()),
        };
        vec![("pipeline", pipeline), ("step", step)]
    }
}

#[cfg(test)]
mod tests {
    use everfold_engine::artefact::Usage;
    use everfold_engine::event::{AttemptFailed, AttemptLost};
    use everfold_engine::failure::Failure;
    use everfold_engine::time::Timestamp;

    use super::super::registry::MetricsSnapshot;
    use super::*;

    fn failed(id: &str, kind: FailureKind) -> RunEvent {
        AttemptFailed {
            id: id.parse().unwrap(),
            failure: Failure::new(kind, "no"),
            commit: None,
            artefacts: Vec::new(),
            ended_at: Timestamp(1),
            notes: Default::default(),
        }
        .into()
    }

    #[test]
    fn two_steps_of_one_kind_have_metrics_of_their_own_and_further_steps_count_together() {
        let metrics = Arc::new(Metrics::default());
        let mut meter = StepMeter { steps_max: 2, ..StepMeter::new(Arc::clone(&metrics)) };
        let run: RunId = "00000000-0000-0000-0000-000000000007".parse().unwrap();
        assert!(!meter.knows(run));
        meter.name(run, "delivery");
        meter.count(run, &failed("review/1/1", FailureKind::Timeout));
        meter.count(run, &failed("review.3/1/1", FailureKind::Exit));
        meter.count(run, &failed("check/1/1", FailureKind::Exit));
        let failure =
            Failure { code: Some("MAX_TURNS".to_owned()), ..Failure::new(FailureKind::Error, "no") };
        let unfinished = AttemptFailed {
            id: "check/1/2".parse().unwrap(),
            failure,
            commit: None,
            artefacts: Vec::new(),
            ended_at: Timestamp(1),
            notes: Default::default(),
        };
        meter.count(run, &unfinished.into());
        let lost = AttemptLost {
            id: "third/1/1".parse().unwrap(),
            reason: "gone".to_owned(),
            fallback: everfold_engine::definition::OnLost::Retry,
        };
        meter.count(run, &lost.into());
        let usage = Usage {
            input_tokens: 3,
            cached_tokens: 5,
            output_tokens: 7,
            cost_micros: 1_500_000,
            ..Usage::default()
        };
        let report = |seq, usage, less_micros| {
            UsageRecorded { id: "review/1/1".parse().unwrap(), seq, usage, less_micros }.into()
        };
        meter.count(run, &report(1, usage, 0));
        // Half a dollar was counted too much: the next one is counted by as much less.
        meter.count(run, &report(2, Usage::default(), 500_000));
        meter.count(run, &report(3, Usage { cost_micros: 750_000, ..Usage::default() }, 0));
        let text = metrics.text(&MetricsSnapshot::default()).unwrap();
        for line in [
            "everfold_step_calls_total{pipeline=\"delivery\",step=\"review\",result=\"cut\"} 1",
            "everfold_step_calls_total{pipeline=\"delivery\",step=\"review\",result=\"failed\"} 1",
            "everfold_step_calls_total{pipeline=\"delivery\",step=\"check\",result=\"failed\"} 1",
            "everfold_step_calls_total{pipeline=\"delivery\",step=\"check\",result=\"cut\"} 1",
            "everfold_step_calls_total{pipeline=\"_OTHER\",step=\"_OTHER\",result=\"lost\"} 1",
            "everfold_step_tokens_total{pipeline=\"delivery\",step=\"review\",kind=\"cached\"} 5",
            "everfold_step_cost_usd_total{pipeline=\"delivery\",step=\"review\"} 1.75",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
