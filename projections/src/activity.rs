//! What a run is doing, as far as its events tell without its definition.
//!
//! Law: the status is the first that is true of ended, paused, queued, running, blocked, waiting, as in the
//! run's own state.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::event::{HaltScope, RunEvent, ScheduledWork, SignalTaker, StopReason, TimerKind};
use everfold_engine::id::{Attempt, AttemptId, Round, StepId, StepPath};
use everfold_engine::policy::Verdict;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::few::Few;

/// What people are asked at a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// A question; else a decision.
    question: bool,
    /// Of whom; empty: of anyone.
    roles: Vec<String>,
}

/// Somebody whom a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Awaits {
    /// The step, or an item of it.
    pub step: String,
    /// What for.
    pub kind: AwaitsWhat,
    /// Who may; empty: anyone.
    pub roles: Vec<String>,
}

/// What somebody is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitsWhat {
    /// A vote.
    Approval,
    /// An answer.
    Question,
    /// A word on a blocked step.
    Unblock,
}

/// The open parts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Activity {
    attempts: Few<StepPath, AttemptId>,
    probing: Few<StepPath, AttemptId>,
    /// Probes that are followed by another one unless they pass: a signal came meanwhile.
    again: BTreeSet<StepPath>,
    /// Attempts that are asked to end, and whether their steps wait for that.
    stopping: BTreeMap<AttemptId, bool>,
    /// Those of them whose step, or item, ends whatever they say.
    cut: BTreeSet<AttemptId>,
    /// Those that were asked to end when it was certain how the run ends: nothing cuts them any more.
    last: BTreeSet<AttemptId>,
    asking: BTreeMap<StepPath, Asked>,
    blocked: BTreeSet<StepPath>,
    /// Steps, and items, that wait for a signal or a timer between what is done for them.
    waiting: BTreeSet<StepPath>,
    queued: bool,
    /// It stands still by itself.
    paused: bool,
    /// What it stands still with.
    halts: BTreeSet<HaltScope>,
    /// Budgets that it shares with other runs.
    shared: Vec<String>,
    /// Attempts that asked for funds.
    funds: BTreeMap<AttemptId, Fund>,
    ended: Option<RunStatus>,
}

/// How far an attempt is that asked for funds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Fund {
    Asked,
    Refused,
    Held,
    Granted,
}

impl Activity {
    pub(crate) fn apply(&mut self, event: &RunEvent, at: Timestamp) {
        match event {
            RunEvent::StepScheduled(event) => match event.work {
                ScheduledWork::Task(_) => self.begin(&event.id),
                ScheduledWork::Wait | ScheduledWork::Gates => {
                    self.waiting.insert(event.id.path.clone());
                }
                ScheduledWork::Items | ScheduledWork::Approval | ScheduledWork::Question => {}
            },
            RunEvent::RetryScheduled(event) => {
                self.blocked.remove(&event.id.path);
                match event.at <= at {
                    true => self.begin(&event.id),
                    false => drop(self.waiting.insert(event.id.path.clone())),
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
                    self.cut_stopping(|id| id.path.step == timer.path.step && id.round == timer.round);
                }
                TimerKind::Wait | TimerKind::Timeout | TimerKind::Reminder | TimerKind::Signal => {}
                TimerKind::Budget => self.budget_timer_fired(&event.timer.name),
            },
            RunEvent::TimerSet(event) => {
                if event.timer.kind == TimerKind::Poll {
                    self.waiting.insert(event.timer.id.path.clone());
                }
            }
            RunEvent::AttemptSucceeded(event) => self.end(&event.id),
            RunEvent::AttemptFailed(event) => self.end(&event.id),
            RunEvent::AttemptLost(event) => self.end(&event.id),
            RunEvent::ChildStopped(event) => self.end(&event.id),
            RunEvent::ChildFinished(event) => self.end(&event.id),
            RunEvent::AttemptAsked(event) => self.end(&event.id),
            RunEvent::StopRequested(event) => {
                for id in &event.ids {
                    self.stopping.insert(id.clone(), true);
                    if matches!(event.reason, StopReason::Person | StopReason::Deadline) {
                        self.cut.insert(id.clone());
                    }
                    self.attempts.remove_if(&id.path, |open| open == id);
                }
                if matches!(event.reason, StopReason::RunEnded | StopReason::Cancel | StopReason::Parent) {
                    self.last.extend(self.stopping.keys().cloned());
                }
            }
            RunEvent::StepCancelRequested(event) => {
                let path = &event.path;
                self.cut_stopping(|id| {
                    id.path == *path || (path.item.is_none() && id.path.step == path.step)
                });
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
            }
            RunEvent::StepSucceeded(event) => self.close(&event.path),
            RunEvent::StepSkipped(event) => self.close(&event.path),
            RunEvent::StepFailed(event) => self.close(&event.path),
            RunEvent::StepCancelled(event) => self.close(&event.path),
            RunEvent::StepBlocked(event) => {
                self.leave(&event.path);
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
                let asked = Asked { question: false, roles: event.terms.roles.clone() };
                self.asking.insert(event.id.path.clone(), asked);
            }
            RunEvent::ApprovalDecided(event) => {
                self.asking.remove(&event.id.path);
            }
            RunEvent::QuestionAsked(event) => {
                // Asked again, it is an attempt that nothing executes.
                self.attempts.remove(&event.id.path);
                let asked = Asked { question: true, roles: event.terms.roles.clone() };
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
                self.last.extend(self.stopping.keys().cloned());
            }
            RunEvent::RunQueued(_) => self.queued = true,
            RunEvent::RunAdmitted(_) => self.queued = false,
            RunEvent::RunForked(event) => self.fork(&event.reset),
            RunEvent::RunResumed(_) => self.paused = false,
            RunEvent::RunSucceeded(_) => self.finish(RunStatus::Succeeded),
            RunEvent::RunFailed(_) => self.finish(RunStatus::Failed),
            RunEvent::RunCancelled(_) => self.finish(RunStatus::Cancelled),
            RunEvent::BudgetsOpened(event) => {
                let shared = event.budgets.iter().filter(|budget| budget.scope.is_some());
                self.shared = shared.map(|budget| budget.id.clone()).collect();
            }
            RunEvent::FundsRequested(event) => {
                let fund = if self.shared.is_empty() { Fund::Held } else { Fund::Asked };
                self.funds.insert(event.id.clone(), fund);
            }
            RunEvent::FundsAnswered(event) => {
                if let Some(fund) = self.funds.get_mut(&event.id).filter(|fund| **fund != Fund::Granted) {
                    *fund = if event.refused.is_some() { Fund::Refused } else { Fund::Held };
                }
            }
            RunEvent::FundsGranted(event) => drop(self.funds.insert(event.id.clone(), Fund::Granted)),
            RunEvent::RunStarted(_)
            | RunEvent::BudgetExceeded(_)
            | RunEvent::BudgetRaised(_)
            | RunEvent::BudgetPeriodBegan(_)
            | RunEvent::SpendReported(_)
            | RunEvent::WorkspacePrepared(_)
            | RunEvent::ItemsExpanded(_)
            | RunEvent::AttemptStarted(_)
            | RunEvent::VoteCast(_)
            | RunEvent::UsageRecorded(_)
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

    /// A round, or an item, ends before its time. What is asked to end already is not asked again, and is not
    /// heard any more; the rest is asked by an event of its own.
    fn cut_stopping(&mut self, is_part: impl Fn(&AttemptId) -> bool) {
        let awaited = self.stopping.iter().filter(|(_, is_awaited)| **is_awaited).map(|(id, _)| id);
        self.cut.extend(awaited.filter(|id| is_part(id) && !self.last.contains(*id)).cloned());
    }

    /// Whether what an attempt says at its end counts: its step waits for that.
    pub(crate) fn is_heard(&self, id: &AttemptId) -> bool {
        let is_awaited = self.stopping.get(id).is_some_and(|is_awaited| *is_awaited);
        self.attempts.get(&id.path) == Some(id) || (is_awaited && !self.cut.contains(id))
    }

    fn end(&mut self, id: &AttemptId) {
        self.funds.remove(id);
        self.stopping.remove(id);
        self.cut.remove(id);
        self.last.remove(id);
        self.attempts.remove_if(&id.path, |open| open == id);
    }

    /// In the next period of a shared budget those that it refused ask again.
    fn budget_timer_fired(&mut self, name: &str) {
        if name.strip_suffix("/period").is_some_and(|budget| self.shared.iter().any(|known| known == budget))
        {
            self.funds
                .values_mut()
                .filter(|fund| **fund == Fund::Refused)
                .for_each(|fund| *fund = Fund::Asked);
        }
    }

    /// Attempts that wait for a budget.
    fn held(&self) -> usize {
        self.funds.values().filter(|fund| matches!(fund, Fund::Held | Fund::Refused)).count()
    }

    fn close(&mut self, path: &StepPath) {
        self.leave(path);
        if path.item.is_some() {
            // Of ten thousand items each closes for itself.
            self.attempts.remove(path);
            self.probing.remove(path);
            self.again.remove(path);
            self.asking.remove(path);
            self.blocked.remove(path);
            self.waiting.remove(path);
            return;
        }
        let is_other = |other: &StepPath| other.step != path.step;
        self.attempts.retain(is_other);
        self.probing.retain(is_other);
        // Seldom there is any of these.
        if !self.waiting.is_empty() {
            self.waiting.retain(is_other);
        }
        if !(self.again.is_empty() && self.asking.is_empty() && self.blocked.is_empty()) {
            self.again.retain(is_other);
            self.asking.retain(|other, _| is_other(other));
            self.blocked.retain(is_other);
        }
    }

    /// The step, or the item, goes its own way.
    fn leave(&mut self, path: &StepPath) {
        if self.stopping.is_empty() {
            return;
        }
        let first = AttemptId { path: path.clone(), round: Round(0), attempt: Attempt(0) };
        let is_part = |id: &AttemptId| id.path.step == path.step && (path.item.is_none() || id.path == *path);
        for (_, is_awaited) in self.stopping.range_mut(first..).take_while(|(id, _)| is_part(id)) {
            *is_awaited = false;
        }
    }

    fn reset(&mut self, steps: &[StepId]) {
        for step in steps {
            self.close(&StepPath::step(step));
        }
    }

    /// What was in progress goes on as the next attempt.
    fn fork(&mut self, reset: &[StepId]) {
        let stopping = std::mem::take(&mut self.stopping);
        self.cut.clear();
        self.last.clear();
        for (id, _) in stopping.into_iter().filter(|(_, is_awaited)| *is_awaited) {
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
        self.funds.clear();
        self.shared.clear();
    }

    fn finish(&mut self, status: RunStatus) {
        *self = Self { ended: Some(status), ..Self::default() };
    }

    /// What the run is doing.
    pub(crate) fn status(&self) -> RunStatus {
        match self.ended {
            Some(status) => status,
            None if self.paused || !self.halts.is_empty() => RunStatus::Paused,
            None if self.queued => RunStatus::Queued,
            None if self.attempts.len() > self.held()
                || !self.probing.is_empty()
                || !self.stopping.is_empty() =>
            {
                RunStatus::Running
            }
            None if !self.blocked.is_empty() => RunStatus::Blocked,
            None if self.held() > 0 => RunStatus::Paused,
            None => RunStatus::Waiting,
        }
    }

    /// Puts the steps that something goes on in, that wait for a signal or a timer, or that people are asked about,
    /// in the order of names.
    /// Says whether that is news.
    pub(crate) fn show_steps(&self, shown: &mut Vec<StepId>) -> bool {
        let open = || self.attempts.keys().chain(self.probing.keys()).chain(self.asking.keys());
        let open = || open().chain(&self.blocked).chain(&self.waiting).map(|path| &path.step);
        let count = self.attempts.len()
            + self.probing.len()
            + self.asking.len()
            + self.blocked.len()
            + self.waiting.len();
        // Most of the time there is one, or none.
        if count < 2 {
            let only = if count == 0 { None } else { open().next() };
            let is_news = shown.len() != count || shown.first() != only;
            if is_news {
                shown.clear();
                shown.extend(only.cloned());
            }
            return is_news;
        }
        let mut names: Vec<&StepId> = open().collect();
        names.sort_unstable();
        names.dedup();
        let is_news = shown.iter().ne(names.iter().copied());
        if is_news {
            *shown = names.into_iter().cloned().collect();
        }
        is_news
    }

    /// Whether it waits for anybody.
    pub(crate) fn is_awaiting(&self) -> bool {
        !self.asking.is_empty() || !self.blocked.is_empty()
    }

    /// Whom it waits for.
    pub(crate) fn awaits(&self) -> Vec<Awaits> {
        let asking = self.asking.iter().map(|(path, asked)| Awaits {
            step: path.to_string(),
            kind: if asked.question { AwaitsWhat::Question } else { AwaitsWhat::Approval },
            roles: asked.roles.clone(),
        });
        let blocked = self.blocked.iter().map(|path| Awaits {
            step: path.to_string(),
            kind: AwaitsWhat::Unblock,
            roles: Vec::new(),
        });
        let mut awaits: Vec<Awaits> = asking.chain(blocked).collect();
        awaits.sort();
        awaits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_engine::event::{
        RetryScheduled, StepCancelRequested, StepCancelled, StepScheduled, StopRequested, TimerFired,
        TimerId, TimerSet,
    };

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
        let scheduled = |text: &str, work| StepScheduled { id: id(text), work }.into();
        let poll = TimerId { id: id("check/1/1"), kind: TimerKind::Poll, name: "gate".into() };
        let again = RetryScheduled { id: id("build/1/2"), at: Timestamp(60_000), task: None };
        for (step, events) in [
            ("deploy", vec![scheduled("deploy/1/1", ScheduledWork::Wait)]),
            ("review", vec![scheduled("review/1/1", ScheduledWork::Gates)]),
            ("check", vec![TimerSet { timer: poll, at: Timestamp(60_000) }.into()]),
            ("build", vec![again.into()]),
        ] {
            let events: Vec<RunEvent> = events;
            let (mut activity, mut shown) = (Activity::default(), Vec::new());
            for event in &events {
                activity.apply(event, Timestamp(1));
            }
            assert!(activity.show_steps(&mut shown), "{step}");
            assert_eq!(shown, [StepId::new(step)]);
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
