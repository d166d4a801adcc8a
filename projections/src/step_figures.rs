//! Figures of a pipeline's steps over some of its runs: how long machines worked and people took, and how it ended.
//!
//! Law: they are of the events of just these runs, each run folded once; a copied history is another run's. Time that
//! overlaps, such as that of the items of a `foreach`, counts once in its run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use everfold_base::envelope::{Envelope, flag};
use everfold_base::failure::FailureKind;
use everfold_base::id::{AttemptId, Round, StepId, StepPath};
use everfold_base::time::Timestamp;
use everfold_core::event::{self, RunEvent, ScheduledWork, SignalTaker, StopReason, TimerKind};
use everfold_core::policy::Verdict;
use serde::Serialize;

use crate::event_readers::{STEP_FIGURES, passed_over};
use crate::money::usd;

/// A stretch of time in milliseconds since 1970.
type Stretch = (i64, i64);

/// What one run tells of its steps.
#[derive(Debug, Default)]
pub struct StepsOfRun {
    steps: BTreeMap<StepId, StepOfRun>,
    /// The steps and items that have work for an executor: a retry need not say it again.
    worked: BTreeSet<StepPath>,
    open: HashMap<AttemptId, UnendedAttempt>,
    asked: HashMap<StepPath, Timestamp>,
    last: Timestamp,
    is_over: bool,
}

/// An attempt that has not ended.
#[derive(Debug, Clone, Copy)]
struct UnendedAttempt {
    scheduled_at: Timestamp,
    /// No event says it of work that may begin before that is durable, such as an idempotent function, or that was over at
    /// once, or is another run.
    started_at: Option<Timestamp>,
    /// Its time limit has passed, or that of its round: however it ends now, it failed.
    is_late: bool,
}

#[derive(Debug, Default)]
struct StepOfRun {
    rounds: BTreeSet<Round>,
    attempts: u64,
    failed: u64,
    cost_micros: u64,
    queue: Vec<Stretch>,
    machine: Vec<Stretch>,
    people: Vec<Stretch>,
    gates: BTreeMap<String, GateOfRun>,
}

/// What one run tells of a gate.
#[derive(Debug, Default)]
struct GateOfRun {
    judged: u64,
    failed: u64,
    took_ms: u64,
}

impl StepsOfRun {
    /// Folds the run's next event. One that cannot be read is passed over.
    pub fn fold(&mut self, envelope: &Envelope) {
        let header = &envelope.header;
        if header.flags & flag::COPIED != 0 {
            return;
        }
        if let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) {
            self.last = header.recorded_at;
            self.is_over |= matches!(
                event,
                RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_)
            );
            self.apply(&event, header.recorded_at);
        }
    }

    fn step(&mut self, path: &StepPath) -> &mut StepOfRun {
        self.steps.entry(path.step.clone()).or_default()
    }

    fn apply(&mut self, event: &RunEvent, at: Timestamp) {
        match event {
            RunEvent::StepScheduled(event) => {
                self.step(&event.id.path).rounds.insert(event.id.round);
                if matches!(event.work, ScheduledWork::Task(_)) {
                    self.schedule(&event.id, at);
                }
            }
            RunEvent::RetryScheduled(event) => {
                self.answered(at, |path| *path == event.id.path);
                if event.task.is_some() || self.worked.contains(&event.id.path) {
                    self.schedule(&event.id, event.at);
                }
            }
            RunEvent::AttemptStarted(event) => {
                if let Some(open) = self.open.get_mut(&event.id) {
                    open.started_at = Some(event.began_at.unwrap_or(at).clamp(open.scheduled_at.min(at), at));
                }
            }
            RunEvent::StopRequested(event) => {
                let is_late = matches!(event.reason, StopReason::Timeout | StopReason::Deadline);
                for id in event.ids.iter().filter(|_| is_late) {
                    if let Some(open) = self.open.get_mut(id) {
                        open.is_late = true;
                    }
                }
            }
            RunEvent::AttemptSucceeded(event) => self.ended(&event.id, event.ended_at, false),
            RunEvent::AttemptAsked(event) => self.ended(&event.id, event.ended_at, false),
            RunEvent::AttemptFailed(event) => {
                let open = self.open.get(&event.id);
                let is_cancelled =
                    event.failure.kind == FailureKind::Cancelled && !open.is_some_and(|open| open.is_late);
                let has_begun = open.is_some_and(|open| open.started_at.is_some());
                if is_cancelled && !has_begun {
                    // It never began, so it is no attempt.
                    self.open.remove(&event.id);
                } else {
                    self.ended(&event.id, event.ended_at, !is_cancelled);
                }
            }
            RunEvent::AttemptLost(event) => self.ended(&event.id, at, true),
            RunEvent::GateEvaluated(event) if event.verdict != Verdict::Skipped => {
                let gate = self.step(&event.id.path).gates.entry(event.gate.clone()).or_default();
                gate.judged += 1;
                gate.failed += u64::from(event.verdict == Verdict::Fail);
                gate.took_ms = gate.took_ms.saturating_add(event.took_ms);
            }
            RunEvent::GateEvaluated(_) => {}
            RunEvent::UsageRecorded(event) => {
                let cost = &mut self.step(&event.id.path).cost_micros;
                *cost = event.added_to(*cost);
            }
            other => self.apply_to_people(other, at),
        }
    }

    /// What begins and ends the time of people.
    fn apply_to_people(&mut self, event: &RunEvent, at: Timestamp) {
        match event {
            RunEvent::ApprovalRequested(event) => self.ask(&event.id.path, at),
            RunEvent::QuestionAsked(event) => self.ask(&event.id.path, at),
            RunEvent::StepBlocked(event) => self.ask(&event.path, at),
            RunEvent::ApprovalDecided(event) => self.answered(at, |path| *path == event.id.path),
            RunEvent::QuestionAnswered(event) => self.answered(at, |path| *path == event.id.path),
            RunEvent::TimerFired(event) if event.timer.kind == TimerKind::Expiry => {
                self.answered(at, |path| *path == event.timer.id.path);
            }
            RunEvent::RunUnblocked(event) => self.answered(at, |path| *path == event.unblocked.path),
            RunEvent::RecheckRequested(event) => self.answered(at, |path| *path == event.path),
            RunEvent::SignalTaken(event) => match &event.by {
                SignalTaker::Gate { id, .. } => self.answered(at, |path| *path == id.path),
                _others if event.ends.is_some() => self.answered(at, |_| true),
                _others => {}
            },
            RunEvent::StepSucceeded(event) => self.answered(at, |path| is_part(path, &event.path)),
            RunEvent::StepFailed(event) => self.answered(at, |path| is_part(path, &event.path)),
            RunEvent::StepSkipped(event) => self.answered(at, |path| is_part(path, &event.path)),
            RunEvent::StepCancelled(event) => self.answered(at, |path| is_part(path, &event.path)),
            RunEvent::ReworkRequested(event) => self.answered(at, |path| event.reset.contains(&path.step)),
            RunEvent::CancelRequested(_)
            | RunEvent::RunAbandoned(_)
            | RunEvent::RunSucceeded(_)
            | RunEvent::RunFailed(_)
            | RunEvent::RunCancelled(_) => self.answered(at, |_| true),
            // Timers of waits and of limits are no time of people.
            RunEvent::TimerFired(_) => {}
            other => passed_over(other, STEP_FIGURES),
        }
    }

    fn schedule(&mut self, id: &AttemptId, at: Timestamp) {
        self.open.insert(id.clone(), UnendedAttempt { scheduled_at: at, started_at: None, is_late: false });
        self.worked.insert(id.path.clone());
    }

    /// Where no event says when it began, it did when it was scheduled.
    fn ended(&mut self, id: &AttemptId, at: Timestamp, has_failed: bool) {
        let Some(open) = self.open.remove(id) else { return };
        let step = self.step(&id.path);
        step.failed += u64::from(has_failed);
        step.attempts += 1;
        if let Some(started_at) = open.started_at {
            step.queue.push((open.scheduled_at.0, started_at.0));
        }
        step.machine.push((open.started_at.unwrap_or(open.scheduled_at).0, at.0));
    }

    fn ask(&mut self, path: &StepPath, at: Timestamp) {
        self.asked.entry(path.clone()).or_insert(at);
    }

    fn answered(&mut self, at: Timestamp, is_over: impl Fn(&StepPath) -> bool) {
        if self.asked.is_empty() {
            return;
        }
        let over: Vec<StepPath> = self.asked.keys().filter(|path| is_over(path)).cloned().collect();
        for path in over {
            if let Some(since) = self.asked.remove(&path) {
                self.step(&path).people.push((since.0, at.0));
            }
        }
    }

    /// The steps that the run began, with their times. What goes on counts up to `now`.
    #[must_use]
    pub fn into_rows(mut self, now: Timestamp) -> Vec<StepTimesRow> {
        self.close(if self.is_over { self.last } else { now });
        let row = |(step, of_run): (StepId, StepOfRun)| StepTimesRow {
            step,
            rounds: of_run.rounds.len() as u64,
            attempts: of_run.attempts,
            failed_attempts: of_run.failed,
            queue_ms: covered(of_run.queue),
            machine_ms: covered(of_run.machine),
            people_ms: covered(of_run.people),
        };
        self.steps.into_iter().map(row).collect()
    }

    /// What has not ended ends at this moment.
    fn close(&mut self, last: Timestamp) {
        self.answered(last, |_| true);
        let open: Vec<AttemptId> = self
            .open
            .iter()
            .filter(|(_, open)| open.started_at.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            self.ended(&id, last, false);
        }
    }
}

fn is_part(path: &StepPath, of: &StepPath) -> bool {
    path == of || (of.item.is_none() && path.step == of.step)
}

/// How much time these cover together.
fn covered(mut stretches: Vec<Stretch>) -> u64 {
    stretches.sort_unstable();
    let (mut sum, mut reached) = (0_u64, i64::MIN);
    for (from, to) in stretches {
        let from = from.max(reached);
        sum = sum.saturating_add(u64::try_from(to.saturating_sub(from)).unwrap_or(0));
        reached = reached.max(to);
    }
    sum
}

/// The figures of a pipeline's steps.
#[derive(Debug, Default)]
pub struct StepFigures {
    steps: BTreeMap<StepId, StepSums>,
}

#[derive(Debug, Default)]
struct StepSums {
    runs: u64,
    rounds: u64,
    attempts: u64,
    failed: u64,
    cost_micros: u64,
    machine: Vec<u64>,
    people: Vec<u64>,
    gates: BTreeMap<String, GateSums>,
}

#[derive(Debug, Default)]
struct GateSums {
    judged: u64,
    failed: u64,
    took: Vec<u64>,
}

impl StepFigures {
    /// Counts a run whose events were all folded.
    pub fn add(&mut self, mut run: StepsOfRun) {
        // What has not ended, though the run has, ends with the run's last event.
        run.close(run.last);
        for (step, of_run) in run.steps {
            let sums = self.steps.entry(step).or_default();
            sums.runs += 1;
            sums.rounds += of_run.rounds.len() as u64;
            sums.attempts += of_run.attempts;
            sums.failed += of_run.failed;
            sums.cost_micros = sums.cost_micros.saturating_add(of_run.cost_micros);
            if !of_run.machine.is_empty() {
                sums.machine.push(covered(of_run.machine));
            }
            if !of_run.people.is_empty() {
                sums.people.push(covered(of_run.people));
            }
            for (gate, of_run) in of_run.gates {
                let gate = sums.gates.entry(gate).or_default();
                gate.judged += of_run.judged;
                gate.failed += of_run.failed;
                gate.took.push(of_run.took_ms);
            }
        }
    }

    /// The steps, those first in which machines worked longest, then those that people took longest for.
    #[must_use]
    pub fn rows(self) -> Vec<StepFiguresRow> {
        let row = |(step, sums): (StepId, StepSums)| StepFiguresRow {
            step,
            runs: sums.runs,
            rounds: sums.rounds,
            attempts: sums.attempts,
            failed_attempts: sums.failed,
            machine: TimeFigures::of(sums.machine),
            people: TimeFigures::of(sums.people),
            gates: sums.gates.into_iter().map(GateFiguresRow::of).collect(),
            cost_usd: usd(sums.cost_micros),
        };
        let mut rows: Vec<StepFiguresRow> = self.steps.into_iter().map(row).collect();
        let total = |time: &Option<TimeFigures>| time.as_ref().map_or(0, |time| time.total_ms);
        rows.sort_by_key(|row| std::cmp::Reverse((total(&row.machine), total(&row.people))));
        rows
    }
}

/// How long a step took in one run. Time that overlaps, such as that of the items of a `foreach`, counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepTimesRow {
    /// The step.
    pub step: StepId,
    /// Its rounds.
    pub rounds: u64,
    /// Its attempts that ended, those of its items among them.
    pub attempts: u64,
    /// How many of those failed; cancelled ones did not.
    pub failed_attempts: u64,
    /// How long attempts waited for their begin after they were scheduled.
    pub queue_ms: u64,
    /// How long attempts worked.
    pub machine_ms: u64,
    /// How long it waited for people.
    pub people_ms: u64,
}

/// A step's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepFiguresRow {
    /// The step.
    pub step: StepId,
    /// How many of the runs began it.
    pub runs: u64,
    /// Its rounds in all of them.
    pub rounds: u64,
    /// Its attempts, those of its items among them.
    pub attempts: u64,
    /// How many of those failed; cancelled ones did not.
    pub failed_attempts: u64,
    /// How long its attempts worked; none: no attempt did.
    pub machine: Option<TimeFigures>,
    /// How long it waited for people; none: it asked nothing.
    pub people: Option<TimeFigures>,
    /// Its gates that were judged, by name.
    pub gates: Vec<GateFiguresRow>,
    /// What it cost in all of them, in US dollars.
    pub cost_usd: String,
}

/// A gate's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateFiguresRow {
    /// The gate.
    pub gate: String,
    /// How often it was judged in all of the runs, open ones included.
    pub judged: u64,
    /// How often it failed.
    pub failed: u64,
    /// How long its probes took in a run.
    pub took: Option<TimeFigures>,
}

impl GateFiguresRow {
    fn of((gate, sums): (String, GateSums)) -> Self {
        Self { gate, judged: sums.judged, failed: sums.failed, took: TimeFigures::of(sums.took) }
    }
}

/// How long something took in each run that had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimeFigures {
    /// How many runs had it.
    pub runs: u64,
    /// In all of them together.
    pub total_ms: u64,
    /// In half of the runs at most so long.
    pub p50_ms: u64,
    /// In 95 of a hundred runs at most so long.
    pub p95_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl TimeFigures {
    pub(crate) fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        // The nearest rank: a time that there was.
        let quantile = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self {
            runs: times.len() as u64,
            total_ms: times.iter().fold(0, |sum, time| sum.saturating_add(*time)),
            p50_ms: quantile(50)?,
            p95_ms: quantile(95)?,
            max_ms: *times.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_overlaps_counts_once() {
        assert_eq!(covered(vec![(50, 150), (0, 100), (200, 210)]), 160);
        assert_eq!(covered(vec![(10, 5)]), 0, "a clock that was set back");
    }

    #[test]
    fn quantiles_are_times_that_there_were() {
        let figures = TimeFigures::of((1..=100).rev().collect());
        let figures = figures.map(|it| (it.runs, it.total_ms, it.p50_ms, it.p95_ms, it.max_ms));
        assert_eq!(figures, Some((100, 5050, 50, 95, 100)));
        let one = TimeFigures::of(vec![7]).map(|it| (it.p50_ms, it.p95_ms, it.max_ms));
        assert_eq!(one, Some((7, 7, 7)));
        assert_eq!(TimeFigures::of(Vec::new()), None);
    }
}
