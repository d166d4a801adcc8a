//! Which events met which statuses: what the simulation really reaches, beside what no history can hold
//! ([`super::coverage_gaps`]).

use std::collections::BTreeMap;

use everfold_engine::event::RunEvent;
use everfold_engine::id::StepId;
use everfold_engine::state::{RunState, RunStatus, StepStatus};

use super::coverage_gaps::{never_of_run, never_of_step, rare_of_run, rare_of_step};

/// The statuses of a run, `none` before its first event.
pub const RUN: [&str; 9] =
    ["none", "queued", "running", "waiting", "paused", "blocked", "succeeded", "failed", "cancelled"];
/// The statuses of a step.
pub const STEP: [&str; 10] = [
    "pending",
    "scheduled",
    "running",
    "gating",
    "waiting",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
    "blocked",
];

type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// How often an event was recorded on a run of that status, and on a step of that status.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub of_runs: Counts,
    pub of_steps: Counts,
}

impl Coverage {
    /// An event of a run's own is about to be folded.
    pub fn note(&mut self, before: &RunState, event: &RunEvent) {
        // Of what can happen to it, a run that is being stopped is a running one.
        let status = match before.status() {
            _ if before.run().is_none() => "none",
            RunStatus::Stopping => RunStatus::Running.as_str(),
            other => other.as_str(),
        };
        *self.of_runs.entry((status, event.name())).or_default() += 1;
        if let Some(step) = step_of(event)
            && let Some(status) = before.step_status(step)
            // In a run that stands still a step is shown as it can only end before its end is recorded; until then it may
            // be ended otherwise from outside.
            && !(before.pauses().next().is_some()
                && matches!(status, StepStatus::Succeeded | StepStatus::Failed)
                && ENDS_FROM_OUTSIDE.contains(&event.name()))
        {
            *self.of_steps.entry((status.as_str(), event.name())).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        other.of_runs.iter().for_each(|(pair, count)| *self.of_runs.entry(*pair).or_default() += count);
        other.of_steps.iter().for_each(|(pair, count)| *self.of_steps.entry(*pair).or_default() += count);
    }

    /// Coverage that were hit although the table says that no history holds them.
    pub fn impossible(&self) -> Vec<String> {
        let of_runs = self.of_runs.keys().filter_map(|pair| Some((pair, never_of_run(*pair)?)));
        let of_steps = self.of_steps.keys().filter_map(|pair| Some((pair, never_of_step(*pair)?)));
        of_runs.chain(of_steps).map(|(pair, why)| format!("{pair:?} was hit, and yet: {why}")).collect()
    }

    /// Coverage that may be, were never hit, and are not explained.
    pub fn unexplained(&self) -> Vec<String> {
        let open = |statuses: &[&'static str], known: &Counts, why: [fn(Pair) -> Option<&'static str>; 2]| {
            let events = RunEvent::KINDS.iter().map(|(_, event)| *event);
            let pairs = events.flat_map(|event| statuses.iter().map(move |status| (*status, event)));
            let is_open =
                |pair: &Pair| !known.contains_key(pair) && why.iter().all(|why| why(*pair).is_none());
            pairs.filter(is_open).map(|pair| format!("{pair:?}")).collect::<Vec<_>>()
        };
        let of_runs = open(&RUN, &self.of_runs, [never_of_run, rare_of_run]);
        let of_steps = open(&STEP, &self.of_steps, [never_of_step, rare_of_step]);
        of_runs.into_iter().chain(of_steps.into_iter().map(|pair| format!("of a step: {pair}"))).collect()
    }

    /// Coverage that may be, and were never hit.
    pub fn missing(&self) -> (Vec<String>, Vec<String>) {
        let missing = |statuses: &[&'static str], known: &Counts, never: fn(Pair) -> Option<&'static str>| {
            let mut missing = Vec::new();
            for (_, event) in RunEvent::KINDS {
                let open = statuses.iter().filter(|status| never((status, event)).is_none());
                let open: Vec<_> = open.filter(|status| !known.contains_key(&(**status, *event))).collect();
                if !open.is_empty() {
                    missing.push(format!("{event}: {open:?}"));
                }
            }
            missing
        };
        (missing(&RUN, &self.of_runs, never_of_run), missing(&STEP, &self.of_steps, never_of_step))
    }
}

/// What is recorded of a step that is shown as over in a run that stands still: the end that is shown, as soon as the run
/// goes on, or another one by a cancellation or a signal.
const ENDS_FROM_OUTSIDE: [&str; 5] =
    ["StepSucceeded", "StepFailed", "StepBlocked", "StepCancelled", "StepCancelRequested"];

/// A status and an event.
pub type Pair = (&'static str, &'static str);

/// The events that are about one step.
pub const OF_STEPS: [&str; 27] = [
    "StepScheduled",
    "ItemsExpanded",
    "AttemptStarted",
    "AttemptSucceeded",
    "AttemptFailed",
    "AttemptLost",
    "RetryScheduled",
    "StepSucceeded",
    "StepSkipped",
    "StepFailed",
    "StepBlocked",
    "StepCancelled",
    "ProbeScheduled",
    "GateEvaluated",
    "ProbeFailed",
    "ReworkRequested",
    "ApprovalRequested",
    "VoteCast",
    "ApprovalDecided",
    "ChildStarted",
    "ChildFinished",
    "QuestionAsked",
    "AnswerSaved",
    "QuestionAnswered",
    "AttemptAsked",
    "RecheckRequested",
    "StepCancelRequested",
];

fn step_of(event: &RunEvent) -> Option<&StepId> {
    Some(match event {
        RunEvent::StepScheduled(event) => &event.id.path.step,
        RunEvent::ItemsExpanded(event) => &event.step,
        RunEvent::AttemptStarted(event) => &event.id.path.step,
        RunEvent::AttemptSucceeded(event) => &event.id.path.step,
        RunEvent::AttemptFailed(event) => &event.id.path.step,
        RunEvent::AttemptLost(event) => &event.id.path.step,
        RunEvent::RetryScheduled(event) => &event.id.path.step,
        RunEvent::StepSucceeded(event) => &event.path.step,
        RunEvent::StepSkipped(event) => &event.path.step,
        RunEvent::StepFailed(event) => &event.path.step,
        RunEvent::StepBlocked(event) => &event.path.step,
        RunEvent::StepCancelled(event) => &event.path.step,
        RunEvent::ProbeScheduled(event) => &event.id.path.step,
        RunEvent::GateEvaluated(event) => &event.id.path.step,
        RunEvent::ProbeFailed(event) => &event.id.path.step,
        RunEvent::ReworkRequested(event) => &event.target,
        RunEvent::ApprovalRequested(event) => &event.id.path.step,
        RunEvent::VoteCast(event) => &event.id.path.step,
        RunEvent::ApprovalDecided(event) => &event.id.path.step,
        RunEvent::ChildStarted(event) => &event.id.path.step,
        RunEvent::ChildFinished(event) => &event.id.path.step,
        RunEvent::QuestionAsked(event) => &event.id.path.step,
        RunEvent::AnswerSaved(event) => &event.id.path.step,
        RunEvent::QuestionAnswered(event) => &event.id.path.step,
        RunEvent::AttemptAsked(event) => &event.id.path.step,
        RunEvent::RecheckRequested(event) => &event.path.step,
        RunEvent::StepCancelRequested(event) => &event.path.step,
        _of_the_run => return None,
    })
}
