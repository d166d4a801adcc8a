//! A run's events as spans: the run, its steps by round, attempts, gates.
//!
//! Law: a fold. Spans are given when they end; what is open is known by when it began. Items of a step have no spans of
//! their own: their attempts and gates lie below the step.

use std::collections::BTreeMap;

use everfold_engine::actor::Actor;
use everfold_engine::event::{RunEvent, ScheduledTask, ScheduledWork};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{AttemptId, Round, RunId, StepPath};
use everfold_engine::policy::Verdict;
use everfold_engine::time::Timestamp;
use serde_json::json;

use super::genai::GenAiCall;
use super::span::{RemoteSpan, Status, TraceSpan};
use crate::settings::GenAiConventions;

const RUN: &str = "run";

/// The open spans of a run.
#[derive(Debug)]
pub(super) struct RunTrace {
    run: RunId,
    pipeline: String,
    title: Option<String>,
    started: Option<Timestamp>,
    by: Option<String>,
    /// The run or request that led to it.
    links: Vec<RemoteSpan>,
    steps: BTreeMap<(StepPath, Round), OpenStep>,
    attempts: BTreeMap<AttemptId, OpenAttempt>,
    /// What the spans of agents say.
    genai: GenAiConventions,
}

#[derive(Debug)]
struct OpenStep {
    began: Timestamp,
    /// What its attempts do, where they do anything.
    work: Option<AttemptWork>,
}

/// What an attempt does.
#[derive(Debug, Clone)]
struct AttemptWork {
    kind: String,
    agent: Option<GenAiCall>,
}

impl AttemptWork {
    fn of(task: &ScheduledTask) -> Self {
        Self { kind: task.kind.clone(), agent: GenAiCall::of(task) }
    }

    /// The same in a further attempt.
    fn again(&self) -> Self {
        Self { kind: self.kind.clone(), agent: self.agent.as_ref().map(GenAiCall::again) }
    }
}

#[derive(Debug)]
struct OpenAttempt {
    scheduled: Timestamp,
    started: Option<Timestamp>,
    work: Option<AttemptWork>,
}

fn of_step(path: &StepPath, round: Round) -> String {
    format!("step/{}/{round}", path.step)
}

fn of_attempt(id: &AttemptId) -> String {
    format!("attempt/{id}")
}

impl RunTrace {
    pub(super) fn new(run: RunId, genai: GenAiConventions) -> Self {
        Self {
            run,
            genai,
            pipeline: String::new(),
            title: None,
            started: None,
            by: None,
            links: Vec::new(),
            steps: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// Whether an event has to do with a span.
    pub(super) fn concerns(event: &RunEvent) -> bool {
        matches!(
            event,
            RunEvent::RunStarted(_)
                | RunEvent::RunForked(_)
                | RunEvent::StepScheduled(_)
                | RunEvent::RetryScheduled(_)
                | RunEvent::AttemptStarted(_)
                | RunEvent::UsageRecorded(_)
                | RunEvent::AttemptSucceeded(_)
                | RunEvent::AttemptAsked(_)
                | RunEvent::AttemptFailed(_)
                | RunEvent::AttemptLost(_)
                | RunEvent::ChildFinished(_)
                | RunEvent::GateEvaluated(_)
                | RunEvent::ProbeFailed(_)
                | RunEvent::StepSucceeded(_)
                | RunEvent::StepSkipped(_)
                | RunEvent::StepFailed(_)
                | RunEvent::StepCancelled(_)
                | RunEvent::ReworkRequested(_)
                | RunEvent::RunSucceeded(_)
                | RunEvent::RunFailed(_)
                | RunEvent::RunCancelled(_)
        )
    }

    /// An event of the history that a fork or restart took over: its spans are another run's. What it leaves open goes on in
    /// the fork.
    pub(super) fn take_over(&mut self, event: &RunEvent, at: Timestamp, actor: &Actor) {
        let _of_the_origin = self.apply(event, at, actor);
        self.links.clear();
    }

    /// An event; gives the spans that end with it.
    pub(super) fn apply(&mut self, event: &RunEvent, at: Timestamp, actor: &Actor) -> Vec<TraceSpan> {
        match event {
            RunEvent::RunStarted(event) => {
                self.pipeline.clone_from(&event.pipeline);
                self.title.clone_from(&event.title);
                if let Some(parent) = &event.parent {
                    self.links.push(RemoteSpan::of(parent.run, &of_attempt(&parent.id)));
                }
                self.begin(at, actor)
            }
            RunEvent::RunForked(event) => {
                self.links.push(RemoteSpan::of(event.origin.run, RUN));
                self.attempts.clear();
                self.steps.retain(|(path, _), _| !event.reset.contains(&path.step));
                self.steps.values_mut().for_each(|step| step.began = at);
                self.begin(at, actor)
            }
            RunEvent::StepScheduled(event) => {
                let step = self.begun(&event.id, at);
                if let ScheduledWork::Task(task) = &event.work {
                    let work = AttemptWork::of(task);
                    step.work = Some(work.clone());
                    self.open(&event.id, at, Some(work));
                }
                Vec::new()
            }
            RunEvent::RetryScheduled(event) => {
                // Without a task of its own it does again what the attempt before did.
                let step = self.begun(&event.id, at);
                let work = event
                    .task
                    .as_ref()
                    .map(AttemptWork::of)
                    .or_else(|| step.work.as_ref().map(AttemptWork::again));
                self.open(&event.id, event.at.max(at), work);
                Vec::new()
            }
            RunEvent::AttemptStarted(event) => {
                self.know(&event.id);
                if let Some(attempt) = self.attempts.get_mut(&event.id) {
                    attempt.started = Some(event.began_at.unwrap_or(at).clamp(attempt.scheduled.min(at), at));
                }
                Vec::new()
            }
            RunEvent::UsageRecorded(event) => {
                let open = self.attempts.get_mut(&event.id).and_then(|open| open.work.as_mut());
                if let Some(call) = open.and_then(|work| work.agent.as_mut()) {
                    call.used(&event.usage);
                }
                Vec::new()
            }
            RunEvent::AttemptSucceeded(event) => self.attempt(&event.id, event.ended_at, Status::Ok, None),
            RunEvent::AttemptAsked(event) => self.attempt(&event.id, event.ended_at, Status::Ok, None),
            RunEvent::AttemptFailed(event) => {
                self.attempt(&event.id, event.ended_at, error(&event.failure), Some(&event.failure))
            }
            RunEvent::AttemptLost(event) => {
                let lost = Failure::new(FailureKind::Lost, event.reason.clone());
                self.attempt(&event.id, at, error(&lost), Some(&lost))
            }
            RunEvent::ChildFinished(event) => {
                let status = event.failure.as_ref().map_or(Status::Ok, error);
                self.attempt(&event.id, event.ended_at, status, event.failure.as_ref())
            }
            RunEvent::GateEvaluated(event) => {
                let verdict = event.verdict.as_str();
                let status = match event.verdict {
                    Verdict::Pass => Status::Ok,
                    Verdict::Fail => Status::Error(event.reason.clone()),
                    Verdict::Pending | Verdict::Skipped => Status::Unset,
                };
                let span = self.gate(&event.id, &event.gate, event.probe_no, event.took_ms, at, status);
                vec![span.with("everfold.verdict", verdict).with("everfold.reason", event.reason.clone())]
            }
            RunEvent::ProbeFailed(event) => {
                let status = Status::Error(format!("no evidence: {}", event.message));
                vec![self.gate(&event.id, &event.gate, event.probe_no, event.took_ms, at, status)]
            }
            RunEvent::StepSucceeded(event) => {
                self.step(&event.path, event.round, at, "succeeded", Status::Ok)
            }
            RunEvent::StepSkipped(event) => self.step(&event.path, event.round, at, "skipped", Status::Unset),
            RunEvent::StepFailed(event) => {
                let status = if event.tolerated { Status::Unset } else { error(&event.failure) };
                self.step(&event.path, event.round, at, "failed", status)
            }
            RunEvent::StepCancelled(event) => {
                self.step(&event.path, event.round, at, "cancelled", Status::Unset)
            }
            RunEvent::ReworkRequested(event) => {
                let is_reset = |(path, _): &(StepPath, Round)| event.reset.contains(&path.step);
                let reset: Vec<_> = self.steps.keys().filter(|step| is_reset(step)).cloned().collect();
                let spans = reset
                    .iter()
                    .flat_map(|(path, round)| self.step(path, *round, at, "reset", Status::Unset));
                spans.collect()
            }
            RunEvent::RunSucceeded(_) => self.end(at, "succeeded", Status::Ok),
            RunEvent::RunFailed(event) => self.end(at, "failed", error(&event.failure)),
            RunEvent::RunCancelled(_) => self.end(at, "cancelled", Status::Unset),
            _other => Vec::new(),
        }
    }

    fn begin(&mut self, at: Timestamp, actor: &Actor) -> Vec<TraceSpan> {
        self.started = Some(at);
        self.by = Some(actor.to_string());
        let name = format!("start {}", self.pipeline);
        let mut span = self.described(TraceSpan::new(self.run, "start", Some(RUN), name, at, at));
        span.run = Some(self.run);
        span.is_begin = true;
        vec![span]
    }

    fn described(&self, mut span: TraceSpan) -> TraceSpan {
        self.links.iter().for_each(|link| span.link(link));
        span.with("everfold.pipeline", self.pipeline.clone())
            .with("everfold.run.title", json!(self.title))
            .with("everfold.actor", json!(self.by))
    }

    fn begun(&mut self, id: &AttemptId, at: Timestamp) -> &mut OpenStep {
        let step = self.steps.entry((id.path.clone(), id.round));
        step.or_insert(OpenStep { began: at, work: None })
    }

    fn open(&mut self, id: &AttemptId, scheduled: Timestamp, work: Option<AttemptWork>) {
        self.attempts.insert(id.clone(), OpenAttempt { scheduled, started: None, work });
    }

    /// An attempt of work that a fork took over has a number of its own, and was scheduled in the origin.
    fn know(&mut self, id: &AttemptId) {
        if let (false, Some(step)) =
            (self.attempts.contains_key(id), self.steps.get(&(id.path.clone(), id.round)))
        {
            let (scheduled, work) = (step.began, step.work.as_ref().map(AttemptWork::again));
            self.open(id, scheduled, work);
        }
    }

    fn attempt(
        &mut self,
        id: &AttemptId,
        at: Timestamp,
        status: Status,
        failure: Option<&Failure>,
    ) -> Vec<TraceSpan> {
        self.know(id);
        let Some(OpenAttempt { scheduled, started, work }) = self.attempts.remove(id) else {
            return Vec::new();
        };
        let parent = of_step(&id.path, id.round);
        let name = format!("{} {}.{}", id.path, id.round, id.attempt);
        let mut span =
            TraceSpan::new(self.run, &of_attempt(id), Some(&parent), name, started.unwrap_or(scheduled), at)
                .with("everfold.step", id.path.to_string())
                .with("everfold.round", id.round.0)
                .with("everfold.attempt", id.attempt.0)
                .with("everfold.kind", json!(work.as_ref().map(|work| &work.kind)))
                .with("everfold.exit_code", json!(failure.and_then(|failure| failure.exit_code)));
        if let Some(call) = work.and_then(|work| work.agent) {
            span = call.write(span, self.genai, failure);
        }
        span.status = status;
        vec![span]
    }

    fn gate(
        &self,
        id: &AttemptId,
        gate: &str,
        probe_no: u32,
        took_ms: u64,
        at: Timestamp,
        status: Status,
    ) -> TraceSpan {
        let what = format!("gate/{id}/{gate}/{probe_no}");
        let parent = of_step(&id.path, id.round);
        let took = i64::try_from(took_ms).unwrap_or_default();
        let mut span = TraceSpan::new(
            self.run,
            &what,
            Some(&parent),
            format!("gate {gate}"),
            Timestamp(at.0 - took),
            at,
        )
        .with("everfold.step", id.path.to_string())
        .with("everfold.round", id.round.0)
        .with("everfold.gate", gate)
        .with("everfold.probe_no", probe_no);
        span.status = status;
        span
    }

    fn step(
        &mut self,
        path: &StepPath,
        round: Round,
        at: Timestamp,
        how: &'static str,
        status: Status,
    ) -> Vec<TraceSpan> {
        // What never began is not in the trace.
        let Some(OpenStep { began, .. }) = self.steps.remove(&(path.clone(), round)) else {
            return Vec::new();
        };
        if path.item.is_some() {
            return Vec::new();
        }
        self.steps.retain(|(item, of), _| item.step != path.step || *of != round);
        let mut span =
            TraceSpan::new(self.run, &of_step(path, round), Some(RUN), path.to_string(), began, at)
                .with("everfold.step", path.to_string())
                .with("everfold.round", round.0)
                .with("everfold.status", how);
        span.status = status;
        vec![span]
    }

    fn end(&mut self, at: Timestamp, how: &'static str, status: Status) -> Vec<TraceSpan> {
        let open: Vec<_> = self.steps.keys().cloned().collect();
        let mut spans: Vec<TraceSpan> = open
            .iter()
            .flat_map(|(path, round)| self.step(path, *round, at, "ended", Status::Unset))
            .collect();
        let name = format!("run {}", self.pipeline);
        let root = TraceSpan::new(self.run, RUN, None, name, self.started.unwrap_or(at), at);
        let mut root = self.described(root).with("everfold.status", how);
        root.status = status;
        root.run = Some(self.run);
        spans.push(root);
        spans
    }
}

fn error(failure: &Failure) -> Status {
    Status::Error(format!("{}: {}", failure.kind.as_str(), failure.message))
}
