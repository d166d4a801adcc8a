//! What a run is doing: its status, its active steps, and the actions it awaits, folded from its events alone.
//!
//! Law: the status is the first that is true of ended, paused, queued, stopping, running, blocked, waiting, as in
//! [`RunState::status`](everfold_core::state::RunState::status).
//!
//! Why it is not derived from `RunState`: that fold needs the run's pinned definition (its graph decides what is on the
//! agenda) and keeps every output, counter and timer that a decision may ask for. The read side folds the whole log of
//! all runs on one thread, reads no definitions, and stores what it folds inside each row at every checkpoint; an
//! `Activity` is some tens of bytes, a `RunState` is kilobytes. So the few sets that the status depends on are kept
//! here a second time. The match over events is total, and the test `the_models_agree_with_the_runs_own_state` compares
//! status, labels, usage, failure and awaited actions with `RunState` after every event of random histories.

use std::collections::{BTreeMap, BTreeSet};

use everfold_base::id::{AttemptId, StepId, StepPath};
use everfold_base::time::Timestamp;
use everfold_core::event::{
    HaltScope, OriginKind, RunEvent, ScheduledWork, SignalEnd, SignalTaker, TimerKind,
};
use everfold_core::policy::Verdict;
use everfold_core::state::RunStatus;
use everfold_language::definition::FinishStatus;
use serde::{Deserialize, Serialize};

use super::awaited_action::{AwaitedAction, AwaitedActionKind};
use super::funding::Funding;
use super::step_counts::{BegunSteps, StepCounts};
use super::stops::Stops;
use crate::small_map::SmallMap;

/// What people are asked at a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PeopleRequest {
    /// A question; else a decision.
    question: bool,
    /// The roles that may answer; empty: any.
    roles: Vec<String>,
}

/// The open parts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Activity {
    attempts: SmallMap<StepPath, AttemptId>,
    probing: SmallMap<StepPath, AttemptId>,
    /// Probes that are followed by another one unless they pass: a signal came meanwhile.
    again: BTreeSet<StepPath>,
    stops: Stops,
    asking: BTreeMap<StepPath, PeopleRequest>,
    blocked: BTreeSet<StepPath>,
    queued: bool,
    /// It was paused itself, or stopped at a breakpoint.
    paused: bool,
    /// The scopes that are paused and that it belongs to.
    halts: BTreeSet<HaltScope>,
    funding: Funding,
    /// It was cancelled.
    cancelling: bool,
    steps: BegunSteps,
    ended: Option<RunStatus>,
}

impl Activity {
    pub(super) fn apply(&mut self, event: &RunEvent, at: Timestamp) {
        self.steps.apply(event);
        match event {
            RunEvent::StepScheduled(event) => match event.work {
                ScheduledWork::Task(_) => self.begin(&event.id),
                ScheduledWork::Wait
                | ScheduledWork::Gates
                | ScheduledWork::Items
                | ScheduledWork::Approval
                | ScheduledWork::Question
                | ScheduledWork::Kept(_) => {}
            },
            RunEvent::RetryScheduled(event) => {
                self.blocked.remove(&event.id.path);
                if event.at <= at {
                    self.begin(&event.id);
                }
            }
            RunEvent::TimerFired(event) => match event.timer.kind {
                TimerKind::Retry => self.begin(&event.timer.id),
                TimerKind::Poll => {
                    self.probing.insert(event.timer.id.path.clone(), event.timer.id.clone());
                }
                TimerKind::Expiry => {
                    self.asking.remove(&event.timer.id.path);
                }
                TimerKind::Deadline => {
                    let timer = &event.timer.id;
                    self.stops.cut(|id| id.path.step == timer.path.step && id.round == timer.round);
                }
                TimerKind::Wait | TimerKind::Timeout | TimerKind::Reminder | TimerKind::Signal => {}
                TimerKind::Budget => self.funding.timer_fired(&event.timer.name),
            },
            RunEvent::AttemptSucceeded(event) => self.end(&event.id),
            RunEvent::AttemptFailed(event) => self.end(&event.id),
            RunEvent::AttemptLost(event) => self.end(&event.id),
            RunEvent::ChildStopped(event) => self.end(&event.id),
            RunEvent::ChildFinished(event) => self.end(&event.id),
            RunEvent::AttemptAsked(event) => self.end(&event.id),
            RunEvent::StopRequested(event) => {
                self.stops.request(&event.ids, event.reason);
                for id in &event.ids {
                    self.attempts.remove_if(&id.path, |open| open == id);
                }
            }
            RunEvent::StepCancelRequested(event) => {
                let path = &event.path;
                self.stops.cut(|id| id.path == *path || (path.item.is_none() && id.path.step == path.step));
            }
            RunEvent::ProbeScheduled(event) => {
                self.blocked.remove(&event.id.path);
                self.probing.insert(event.id.path.clone(), event.id.clone());
            }
            RunEvent::GateEvaluated(event) => {
                let is_over = matches!(event.verdict, Verdict::Pass | Verdict::Skipped);
                self.probed(&event.id, is_over);
            }
            RunEvent::ProbeFailed(event) => self.probed(&event.id, false),
            RunEvent::SignalTaken(event) => {
                if let SignalTaker::Gate { id, .. } = &event.by {
                    self.blocked.remove(&id.path);
                    if self.probing.insert(id.path.clone(), id.clone()).is_some() {
                        self.again.insert(id.path.clone());
                    }
                }
                let is_cancelled = event.ends == Some(SignalEnd::Finished(FinishStatus::Cancelled));
                self.cancelling |= is_cancelled && event.decision.is_some();
            }
            RunEvent::StepSucceeded(event) => self.close(&event.path),
            RunEvent::StepSkipped(event) => self.close(&event.path),
            RunEvent::StepFailed(event) => self.close(&event.path),
            RunEvent::StepCancelled(event) => self.close(&event.path),
            RunEvent::StepBlocked(event) => {
                self.stops.leave(&event.path);
                self.asking.remove(&event.path);
                self.probing.remove(&event.path);
                self.blocked.insert(event.path.clone());
            }
            RunEvent::RunUnblocked(event) => {
                self.blocked.remove(&event.unblocked.path);
            }
            RunEvent::ReworkRequested(event) => self.reset(&event.reset),
            RunEvent::ApprovalRequested(event) => {
                // Asked again, it is an attempt that nothing executes.
                self.attempts.remove(&event.id.path);
                let asked = PeopleRequest { question: false, roles: event.terms.roles.clone() };
                self.asking.insert(event.id.path.clone(), asked);
            }
            RunEvent::ApprovalDecided(event) => {
                self.asking.remove(&event.id.path);
            }
            RunEvent::QuestionAsked(event) => {
                // Asked again, it is an attempt that nothing executes.
                self.attempts.remove(&event.id.path);
                let asked = PeopleRequest { question: true, roles: event.terms.roles.clone() };
                self.asking.insert(event.id.path.clone(), asked);
            }
            RunEvent::QuestionAnswered(event) => {
                self.asking.remove(&event.id.path);
            }
            RunEvent::RecheckRequested(event) => {
                self.blocked.remove(&event.path);
                self.probing.remove(&event.path);
                self.again.remove(&event.path);
            }
            RunEvent::RunPaused(_) | RunEvent::BreakpointHit(_) => self.paused = true,
            RunEvent::RunHalted(event) => drop(self.halts.insert(event.scope.clone())),
            RunEvent::RunReleased(event) => drop(self.halts.remove(&event.scope)),
            RunEvent::CancelRequested(_) | RunEvent::RunAbandoned(_) => {
                self.paused = false;
                self.halts.clear();
                self.stops.run_ends();
                self.cancelling = true;
            }
            RunEvent::RunQueued(_) => self.queued = true,
            RunEvent::RunAdmitted(_) => self.queued = false,
            RunEvent::RunForked(event) => {
                self.fork(&event.reset);
                self.cancelling &= event.origin.how == OriginKind::Fork;
            }
            RunEvent::RunResumed(_) => self.paused = false,
            RunEvent::RunSucceeded(_) => self.finish(RunStatus::Succeeded),
            RunEvent::RunFailed(_) => self.finish(RunStatus::Failed),
            RunEvent::RunCancelled(_) => self.finish(RunStatus::Cancelled),
            RunEvent::BudgetsOpened(event) => self.funding.open(&event.budgets),
            RunEvent::FundsRequested(event) => self.funding.request(&event.id, event.waits),
            RunEvent::FundsAnswered(event) => self.funding.answer(&event.id, event.refused.is_some()),
            RunEvent::FundsGranted(event) => self.funding.grant(&event.id),
            RunEvent::RunStarted(_)
            | RunEvent::TimerSet(_)
            | RunEvent::BudgetExceeded(_)
            | RunEvent::BudgetRaised(_)
            | RunEvent::BudgetPeriodBegan(_)
            | RunEvent::SpendReported(_)
            | RunEvent::WorkspacePrepared(_)
            | RunEvent::ItemsExpanded(_)
            | RunEvent::AttemptStarted(_)
            | RunEvent::VoteCast(_)
            | RunEvent::UsageRecorded(_)
            | RunEvent::ProgressReported(_)
            | RunEvent::SearchSet(_)
            | RunEvent::WorkSpared(_)
            | RunEvent::Advanced(_)
            | RunEvent::NoteAdded(_)
            | RunEvent::ChildStarted(_)
            | RunEvent::AnswerSaved(_)
            | RunEvent::SignalReceived(_)
            | RunEvent::BreakpointsSet(_)
            | RunEvent::NoticeQueued(_)
            | RunEvent::NoticeSent(_)
            | RunEvent::WorktreeReset(_)
            | RunEvent::ClockRead(_)
            | RunEvent::WorkspaceShared(_)
            | RunEvent::WorkspaceRemoved(_)
            | RunEvent::NoticeFailed(_) => {}
        }
    }

    /// A probe ended. One of a round that was reset says nothing of the step now.
    fn probed(&mut self, id: &AttemptId, is_over: bool) {
        if self.probing.get(&id.path) == Some(id) && (!self.again.remove(&id.path) || is_over) {
            self.probing.remove(&id.path);
        }
    }

    fn begin(&mut self, id: &AttemptId) {
        self.attempts.insert(id.path.clone(), id.clone());
    }

    /// Whether what an attempt reports at its end counts: its step waits for that.
    pub(super) fn is_heard(&self, id: &AttemptId) -> bool {
        self.attempts.get(&id.path) == Some(id) || self.stops.is_heard(id)
    }

    fn end(&mut self, id: &AttemptId) {
        self.funding.end(id);
        self.stops.end(id);
        self.attempts.remove_if(&id.path, |open| open == id);
    }

    fn close(&mut self, path: &StepPath) {
        self.stops.leave(path);
        if path.item.is_some() {
            // Of ten thousand items each closes for itself.
            self.attempts.remove(path);
            self.probing.remove(path);
            self.again.remove(path);
            self.asking.remove(path);
            self.blocked.remove(path);
            return;
        }
        let is_other = |other: &StepPath| other.step != path.step;
        self.attempts.retain(is_other);
        self.probing.retain(is_other);
        // Usually these are empty.
        if !(self.again.is_empty() && self.asking.is_empty() && self.blocked.is_empty()) {
            self.again.retain(is_other);
            self.asking.retain(|other, _| is_other(other));
            self.blocked.retain(is_other);
        }
    }

    fn reset(&mut self, steps: &[StepId]) {
        for step in steps {
            self.close(&StepPath::step(step));
        }
    }

    /// What was in progress goes on as the next attempt.
    fn fork(&mut self, reset: &[StepId]) {
        for id in self.stops.take_awaited() {
            if self.attempts.get(&id.path).is_none() {
                self.attempts.insert(id.path.clone(), id);
            }
        }
        for id in self.attempts.values_mut() {
            id.attempt = id.attempt.next();
        }
        self.reset(reset);
        (self.paused, self.queued) = (false, false);
        self.halts.clear();
        self.funding = Funding::default();
    }

    fn finish(&mut self, status: RunStatus) {
        *self = Self { ended: Some(status), ..Self::default() };
    }

    /// Whether paid work waits for a budget.
    pub(super) fn waits_for_funds(&self) -> bool {
        self.funding.held() > 0
    }

    /// What the run is doing.
    pub(super) fn status(&self) -> RunStatus {
        match self.ended {
            Some(status) => status,
            None if self.paused || !self.halts.is_empty() => RunStatus::Paused,
            None if self.queued => RunStatus::Queued,
            None if self.attempts.len() > self.funding.held()
                || !self.probing.is_empty()
                || !self.stops.is_empty() =>
            {
                if self.cancelling {
                    RunStatus::Stopping
                } else {
                    RunStatus::Running
                }
            }
            None if !self.blocked.is_empty() => RunStatus::Blocked,
            None if self.funding.held() > 0 => RunStatus::Paused,
            None => RunStatus::Waiting,
        }
    }

    /// How many steps are how far, of a definition with so many; `None`: the run has ended, and they stay as they were.
    pub(super) fn step_counts(&self, total: u32) -> Option<StepCounts> {
        self.ended.is_none().then(|| self.steps.counts(total))
    }

    /// Puts the steps that have begun and not ended, in the order of names. Says whether that is news.
    pub(super) fn show_steps(&mut self, shown: &mut Vec<StepId>) -> bool {
        match self.ended {
            Some(_) => !std::mem::take(shown).is_empty(),
            None => self.steps.show_open(shown),
        }
    }

    /// Whether it awaits an action of a person.
    pub(super) fn is_awaiting(&self) -> bool {
        !self.asking.is_empty() || !self.blocked.is_empty()
    }

    /// The actions that it awaits.
    pub(super) fn awaits(&self) -> Vec<AwaitedAction> {
        let asking = self.asking.iter().map(|(path, asked)| AwaitedAction {
            step: path.to_string(),
            kind: if asked.question { AwaitedActionKind::Question } else { AwaitedActionKind::Approval },
            roles: asked.roles.clone(),
        });
        let blocked = self.blocked.iter().map(|path| AwaitedAction {
            step: path.to_string(),
            kind: AwaitedActionKind::Unblock,
            roles: Vec::new(),
        });
        let mut awaits: Vec<AwaitedAction> = asking.chain(blocked).collect();
        awaits.sort();
        awaits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::id::Round;
    use everfold_base::json::{JsonText, Payload};
    use everfold_core::event::{
        AttemptLost, RetryScheduled, ScheduledTask, StepCancelRequested, StepCancelled, StepScheduled,
        StopReason, StopRequested, TimerFired, TimerId, TimerSet,
    };
    use everfold_language::definition::OnLost;

    /// What is asked to end by its time limit is not asked again when its round ends before its time.
    #[test]
    fn what_work_says_is_not_heard_once_its_round_or_item_is_cut() {
        let id: AttemptId = "build/1/2".parse().unwrap();
        let deadline =
            TimerId { id: "build/1/1".parse().unwrap(), kind: TimerKind::Deadline, name: String::new() };
        let cuts: [RunEvent; 2] = [
            TimerFired { timer: deadline, due: Timestamp(2) }.into(),
            StepCancelRequested { path: id.path.clone(), reason: None }.into(),
        ];
        for cut in cuts {
            let mut activity = Activity::default();
            activity.begin(&id);
            let stop = StopRequested { ids: vec![id.clone()], reason: StopReason::Timeout };
            activity.apply(&stop.into(), Timestamp(1));
            assert!(activity.is_heard(&id));
            activity.apply(&cut, Timestamp(2));
            assert!(!activity.is_heard(&id), "{}", cut.name());
        }
    }

    #[test]
    fn row_56_a_step_that_waits_for_a_signal_or_a_timer_is_shown_until_it_ends() {
        let id = |text: &str| -> AttemptId { text.parse().unwrap() };
        let scheduled = |text: &str, work| -> RunEvent { StepScheduled { id: id(text), work }.into() };
        let judged = scheduled("check/1/1", ScheduledWork::Gates);
        let poll = TimerId { id: id("check/1/1"), kind: TimerKind::Poll, name: "gate".into() };
        let task = Payload::Inline(JsonText::null());
        let task = ScheduledTask { kind: "function".into(), task, timeout_ms: None, grace_ms: 0 };
        let made = scheduled("build/1/1", ScheduledWork::Task(task));
        let lost = AttemptLost { id: id("build/1/1"), reason: "gone".into(), fallback: OnLost::Retry };
        let again = RetryScheduled { id: id("build/1/2"), at: Timestamp(60_000), task: None };
        for (step, events) in [
            ("deploy", vec![scheduled("deploy/1/1", ScheduledWork::Wait)]),
            ("review", vec![scheduled("review/1/1", ScheduledWork::Gates)]),
            ("check", vec![judged, TimerSet { timer: poll, at: Timestamp(60_000) }.into()]),
            // A paused run decides what follows when it goes on.
            ("build", vec![made.clone(), lost.clone().into()]),
            ("build", vec![made, lost.into(), again.into()]),
        ] {
            let events: Vec<RunEvent> = events;
            let (mut activity, mut shown) = (Activity::default(), Vec::new());
            for event in &events {
                activity.apply(event, Timestamp(1));
            }
            assert!(activity.show_steps(&mut shown), "{step}");
            assert_eq!(shown, [StepId::new(step)]);
            assert!(!activity.show_steps(&mut shown), "{step}: it is no news");
            assert_eq!(activity.status(), RunStatus::Waiting, "{step}");
            let path = StepPath::step(&StepId::new(step));
            activity.apply(&StepCancelled { path, round: Round(1) }.into(), Timestamp(2));
            assert!(activity.show_steps(&mut shown) && shown.is_empty(), "{step}: {shown:?}");
        }
    }

    #[test]
    fn what_work_says_is_heard_to_the_end_of_its_run() {
        let id: AttemptId = "build/1/1".parse().unwrap();
        let deadline = TimerId { id: id.clone(), kind: TimerKind::Deadline, name: String::new() };
        for reason in [StopReason::RunEnded, StopReason::Cancel] {
            let mut activity = Activity::default();
            activity.begin(&id);
            activity.apply(&StopRequested { ids: vec![id.clone()], reason }.into(), Timestamp(1));
            activity.apply(&TimerFired { timer: deadline.clone(), due: Timestamp(2) }.into(), Timestamp(2));
            assert!(activity.is_heard(&id), "{reason:?}");
        }
    }
}
