//! Which events met which statuses: what the simulation really reaches, and what no history can hold.

use std::collections::BTreeMap;

use everfold_engine::event::RunEvent;
use everfold_engine::id::StepId;
use everfold_engine::state::RunState;

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
pub struct Pairs {
    pub of_runs: Counts,
    pub of_steps: Counts,
}

impl Pairs {
    /// An event of a run's own is about to be folded.
    pub fn note(&mut self, before: &RunState, event: &RunEvent) {
        let status = if before.run().is_some() { before.status().as_str() } else { "none" };
        *self.of_runs.entry((status, event.name())).or_default() += 1;
        if let Some(step) = step_of(event)
            && let Some(status) = before.step_status(step)
        {
            *self.of_steps.entry((status.as_str(), event.name())).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        other.of_runs.iter().for_each(|(pair, count)| *self.of_runs.entry(*pair).or_default() += count);
        other.of_steps.iter().for_each(|(pair, count)| *self.of_steps.entry(*pair).or_default() += count);
    }

    /// Pairs that were hit although the table says that no history holds them.
    pub fn impossible(&self) -> Vec<String> {
        let of_runs = self.of_runs.keys().filter_map(|pair| Some((pair, never_of_run(*pair)?)));
        let of_steps = self.of_steps.keys().filter_map(|pair| Some((pair, never_of_step(*pair)?)));
        of_runs.chain(of_steps).map(|(pair, why)| format!("{pair:?} was hit, and yet: {why}")).collect()
    }

    /// Pairs that may be, and were never hit.
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

type Pair = (&'static str, &'static str);

/// Why no history holds this event on a run of this status; `None`: it may.
fn never_of_run((status, event): Pair) -> Option<&'static str> {
    let is_over = matches!(status, "succeeded" | "failed" | "cancelled");
    match (status, event) {
        ("none", "RunStarted") => None,
        ("none", _) => Some("a history begins with RunStarted"),
        (_, "RunStarted") => Some("a run starts once"),
        // The outbox outlives the run; a history goes on as another run's; work that was stopped late is told of.
        (_, "NoticeQueued" | "NoticeSent" | "NoticeFailed" | "RunForked" | "NoteAdded" | "SpendReported")
            if is_over =>
        {
            None
        }
        ("cancelled" | "failed" | "succeeded", "RunQueued") => Some("only the start and a fork queue a run"),
        _ if is_over => Some("L30: ended runs never change"),
        (_, "WorktreeReset") => Some(NO_GIT),
        (_, "WorkspaceShared") => Some("no plan has a workspace of its parent's; the driver's tests have"),
        ("queued", event) if OF_WORK.contains(&event) => Some("D9: nothing of a queued run is at work"),
        ("queued" | "waiting" | "blocked", "RunSucceeded" | "RunFailed" | "RunCancelled") => {
            Some("a run whose end is certain, and not recorded yet, is a running one")
        }
        (
            "waiting" | "blocked",
            "StepScheduled" | "StepSucceeded" | "StepSkipped" | "RetryScheduled" | "BreakpointHit",
        ) => Some("it follows from a fact, and what follows from one makes the run a running one"),
        ("queued", "RunQueued") => Some("a run is queued once, and a fork of a queued run is none before"),
        // One whose end is certain while it is queued is a running one, and may get its slots even so.
        ("waiting" | "blocked", "RunAdmitted") => Some("only a queued run is admitted"),
        ("waiting" | "blocked", "AttemptStarted" | "AttemptSucceeded" | "AttemptAsked" | "AttemptLost") => {
            Some("an attempt in progress makes the run a running one")
        }
        ("waiting" | "blocked", "ChildStarted" | "ChildFinished") => {
            Some("an attempt in progress makes the run a running one")
        }
        _ => None,
    }
}

const NO_GIT: &str = "this machine has no worktrees of git; the tests of workspaces have";

/// The events of work that has begun, or begins.
const OF_WORK: [&str; 12] = [
    "StepScheduled",
    "ItemsExpanded",
    "AttemptStarted",
    "AttemptSucceeded",
    "AttemptLost",
    "AttemptAsked",
    "ChildStarted",
    "ChildFinished",
    "ApprovalRequested",
    "QuestionAsked",
    "TimerFired",
    "BreakpointHit",
];

/// Why no history holds this event on a step of this status; `None`: it may.
fn never_of_step((status, event): Pair) -> Option<&'static str> {
    const OF_RUN: &str = "an event of the run, not of one step";
    if !OF_STEPS.contains(&event) {
        return Some(OF_RUN);
    }
    let is_over = matches!(status, "succeeded" | "failed" | "skipped" | "cancelled");
    match (status, event) {
        (
            "pending",
            "StepSucceeded" | "ApprovalDecided" | "QuestionAnswered" | "VoteCast" | "AnswerSaved",
        ) => Some("nothing of it has begun"),
        ("pending", "ApprovalRequested" | "QuestionAsked" | "ItemsExpanded" | "ProbeScheduled") => {
            Some("StepScheduled comes first")
        }
        (_, "StepSucceeded" | "StepBlocked" | "StepFailed" | "StepSkipped" | "StepCancelled") if is_over => {
            Some("a round ends once")
        }
        (_, "StepScheduled" | "RetryScheduled") if is_over => {
            Some("a rework or a fork takes it back first, and then it is pending")
        }
        ("gating", "StepScheduled") => Some("its work is done, or there is none"),
        (_, "ItemsExpanded" | "ApprovalRequested" | "QuestionAsked") if is_over => Some("its round is over"),
        (_, "ApprovalDecided" | "QuestionAnswered" | "VoteCast" | "AnswerSaved") if is_over => {
            Some("its task is withdrawn")
        }
        _ => None,
    }
}

/// The events that are about one step.
const OF_STEPS: [&str; 27] = [
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
