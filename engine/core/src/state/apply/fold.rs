//! One event folded into the state: which kind changes what.
//!
//! Law: every fact is accepted. A fact about something that is no longer current (an attempt that
//! was stopped, a gate of a reset round) counts the version and changes nothing else.

use crate::effect::Touched;
use crate::event::{RunEvent, RunStarted, TimerId};
use crate::state::agenda::Agenda;
use crate::state::step::{Phase, Unit};
use crate::state::stored_value::StoredValue;
use crate::state::{Cancelling, EventMeta, Key, RunEnd, RunOutcome, RunState, Started};
use everfold_base::failure::Failure;
use everfold_base::id::StepPath;
use everfold_base::time::Timestamp;
use everfold_language::definition::FinishStatus;

/// Inputs that are remembered by their id.
const INPUTS_MAX: usize = 64;

impl RunState {
    /// Folds one fact.
    pub fn apply(&mut self, event: &RunEvent, meta: &EventMeta) {
        self.facts.version = self.facts.version.next();
        let former_at = self.facts.last_at;
        self.facts.last_at = former_at.max(meta.at);
        self.facts.clock.go_on(self.facts.last_at);
        // Reports of work are recognised by what they are about; these are not.
        let is_known_by_id = !meta.actor.is_engine()
            || matches!(event, RunEvent::WorkspacePrepared(_) | RunEvent::WorkspaceRemoved(_));
        if is_known_by_id && self.facts.inputs.back() != Some(&meta.input) {
            self.facts.inputs.push_back(meta.input);
            if self.facts.inputs.len() > INPUTS_MAX {
                self.facts.inputs.pop_front();
            }
        }
        self.note_account(event, meta);
        match event {
            RunEvent::RunStarted(event) => self.run_started(event, meta),
            RunEvent::StepScheduled(event) => self.step_scheduled(event, meta.at),
            RunEvent::WorkspacePrepared(event) => self.workspace_prepared(event.workspace.as_ref()),
            RunEvent::ItemsExpanded(event) => self.items_expanded(event),
            RunEvent::AttemptStarted(event) => {
                self.attempt_taken(event, meta.at);
                self.attempt_started(&event.id, meta.at);
            }
            RunEvent::AttemptSucceeded(event) => {
                self.settle_funds(&event.id, event.ended_at);
                self.attempt_succeeded(event);
            }
            RunEvent::AttemptFailed(event) => {
                self.settle_funds(&event.id, event.ended_at);
                self.attempt_failed(event);
            }
            RunEvent::AttemptLost(event) => {
                self.settle_funds(&event.id, self.now());
                self.attempt_lost(event);
            }
            RunEvent::ChildStopped(event) => {
                self.settle_funds(&event.id, self.now());
                let _no_step_waits = self.end_attempt(&event.id);
            }
            RunEvent::StopRequested(event) => self.stop_requested(&event.ids, event.reason),
            RunEvent::RetryScheduled(event) => self.retry_scheduled(event),
            RunEvent::StepSucceeded(event) => self.step_succeeded(event, meta.at),
            RunEvent::StepSkipped(event) => self.step_skipped(event, meta.at),
            RunEvent::StepFailed(event) => self.step_failed(event, meta.at),
            RunEvent::StepBlocked(event) => self.step_blocked(event),
            RunEvent::StepCancelled(event) => self.end_by_path(&event.path, Phase::Cancelled, meta.at),
            RunEvent::ProbeScheduled(event) => self.probe_scheduled(event, self.now()),
            RunEvent::GateEvaluated(event) => {
                self.note_failed_evidence(event);
                self.gate_evaluated(event, self.now());
            }
            RunEvent::ProbeFailed(event) => self.probe_failed(event),
            RunEvent::ReworkRequested(event) => self.rework_requested(event),
            RunEvent::ApprovalRequested(event) => self.approval_requested(event, meta.at),
            RunEvent::VoteCast(event) => self.vote_cast(event, meta),
            RunEvent::ApprovalDecided(event) => self.approval_decided(event),
            RunEvent::TimerSet(event) => self.timer_set(&event.timer, event.at),
            RunEvent::TimerFired(event) => {
                self.facts.clock.reached(event.due);
                self.timer_fired(&event.timer, self.now());
            }
            RunEvent::ProgressReported(event) => {
                if self.current(&event.id).is_some() {
                    self.facts.progress.insert(event.id.path.clone(), event.progress.clone());
                }
            }
            RunEvent::SearchSet(event) => {
                for (name, value) in &event.values {
                    match value {
                        Some(value) => self.facts.search.insert(name.clone(), value.clone()),
                        None => self.facts.search.remove(name),
                    };
                }
            }
            RunEvent::WorkSpared(event) => self.facts.effects.spare(event),
            RunEvent::UsageRecorded(event) => {
                self.count_usage(event, self.now());
                self.facts.usage.add(event);
                if let Some(unit) = self.current(&event.id).and_then(|key| self.unit_mut(key)) {
                    unit.usage_seq = event.seq;
                }
                self.note_session(event);
                self.note_interrupted_session(event);
                self.note_usage(event);
            }
            RunEvent::WorktreeReset(event) => self.worktree_reset(event),
            RunEvent::WorkspaceShared(event) => {
                self.workspace_shared(event);
                self.workspace_prepared(Some(&event.workspace));
            }
            // Where it was stays known: people look for what was done there.
            RunEvent::WorkspaceRemoved(_) => {}
            RunEvent::RunPaused(event) => self.run_paused(event.reason.as_ref(), meta),
            RunEvent::RunResumed(event) => {
                let prompt = event.prompt.as_ref().map(|prompt| StoredValue::of(prompt, self.facts.version));
                self.facts.interrupts.resume(prompt.as_ref());
                self.run_resumed();
            }
            RunEvent::RunHalted(event) => self.run_halted(&event.scope, event.reason.as_ref(), meta.at),
            RunEvent::RunReleased(event) => self.run_released(&event.scope),
            RunEvent::RunUnblocked(event) => self.run_unblocked(event),
            RunEvent::CancelRequested(event) => {
                self.facts.cancels += 1;
                self.stop_owing_workspace();
                let (by, reason, at) = (meta.actor.clone(), event.reason.clone(), meta.at);
                self.facts.cancelling.get_or_insert(Cancelling { by, reason, at });
                self.end_pauses();
                self.set_outcome(RunOutcome::Cancelled);
            }
            RunEvent::RunAbandoned(event) => {
                let (by, reason, at) = (meta.actor.clone(), event.reason.clone(), meta.at);
                self.facts.cancelling.get_or_insert(Cancelling { by, reason, at });
                self.run_abandoned(meta.at);
            }
            RunEvent::RunCancelled(_) => {
                self.end_run(FinishStatus::Cancelled, None, None, StoredValue::Null, meta.at)
            }
            RunEvent::RunSucceeded(event) => {
                let output = StoredValue::of(&event.output, self.facts.version);
                self.end_run(FinishStatus::Succeeded, None, None, output, meta.at);
            }
            RunEvent::RunFailed(event) => {
                let (path, failure) = (event.path.clone(), Some(event.failure.clone()));
                let version = self.facts.version;
                let output = event.result.as_ref().map(|result| StoredValue::of(&result.output, version));
                self.end_run(FinishStatus::Failed, path, failure, output.unwrap_or_default(), meta.at);
            }
            RunEvent::RunQueued(event) => self.run_queued(event),
            RunEvent::RunAdmitted(event) => self.run_admitted(event),
            RunEvent::ChildStarted(event) => self.attempt_started(&event.id, meta.at),
            RunEvent::ChildFinished(event) => {
                self.settle_funds(&event.id, event.ended_at);
                self.child_finished(event);
            }
            RunEvent::QuestionAsked(event) => self.question_asked(event, meta.at),
            RunEvent::AnswerSaved(event) => self.answer_saved(event, meta),
            RunEvent::QuestionAnswered(event) => self.question_answered(event),
            RunEvent::AttemptAsked(event) => {
                self.settle_funds(&event.id, event.ended_at);
                self.attempt_asked(event);
            }
            RunEvent::SignalReceived(event) => self.signal_received(event, meta),
            RunEvent::SignalTaken(event) => self.signal_taken(event, meta.at),
            RunEvent::RecheckRequested(event) => self.recheck_requested(event),
            RunEvent::StepCancelRequested(event) => self.step_cancel_requested(event, meta),
            RunEvent::BreakpointsSet(event) => self.breakpoints_set(event),
            RunEvent::BreakpointHit(event) => self.breakpoint_hit(event, meta),
            RunEvent::RunForked(event) => self.run_forked(event, meta, former_at),
            RunEvent::NoticeQueued(event) => self.notice_queued(event, meta.at),
            RunEvent::NoticeSent(event) => self.notice_finished(event.version, &event.notice, true),
            RunEvent::NoticeFailed(event) => self.notice_finished(event.version, &event.notice, false),
            RunEvent::BudgetsOpened(event) => self.budgets_opened(&event.budgets),
            RunEvent::BudgetExceeded(event) => self.budget_exceeded(event, self.now()),
            RunEvent::BudgetRaised(event) => self.budget_raised(event, self.now()),
            RunEvent::FundsRequested(event) => self.funds_requested(event, self.now()),
            RunEvent::FundsGranted(event) => self.funds_granted(event, self.now()),
            RunEvent::BudgetPeriodBegan(event) => self.budget_period_began(event, self.now()),
            RunEvent::FundsAnswered(event) => self.funds_answered(event),
            RunEvent::SpendReported(event) => self.spend_reported(event.version, &event.readings),
            RunEvent::ClockRead(event) => self.clock_read(event),
            RunEvent::Advanced(_) | RunEvent::NoteAdded(_) => {}
        }
        self.settle_budget_reminders();
        self.set_run_clock(self.now());
        // Advancing or not depends on nearly everything, and costs little to look up.
        self.touched.push(Touched::Run);
    }

    pub(super) fn run_started(&mut self, event: &RunStarted, meta: &EventMeta) {
        self.facts.started = Some(Started {
            run: event.run,
            pipeline: event.pipeline.clone(),
            definition: event.definition,
            title: event.title.clone(),
            cwd: event.cwd.clone(),
            entropy: event.entropy,
            at: meta.at,
            by: meta.actor.clone(),
            parent: event.parent.clone(),
            priority: event.priority,
            forked: None,
        });
        self.facts.number.clone_from(&event.number);
        self.facts.top = event.top;
        self.facts.initiator.clone_from(&event.initiator);
        self.facts.labels.clone_from(&event.labels);
        self.facts.input = StoredValue::inline(&event.input, self.facts.version);
        self.facts.config = match &event.config {
            Some(config) => StoredValue::inline(config, self.facts.version),
            None => StoredValue::Null,
        };
        for at in 0..self.graph.main_len() {
            self.check_ready(at);
        }
        if self.graph.main_len() == 0 {
            self.facts.agenda.insert(Agenda::End);
        }
    }

    /// The run ends where it stands: its outstanding work is not listed any more.
    fn run_abandoned(&mut self, at: Timestamp) {
        self.stop_owing_workspace();
        self.end_pauses();
        self.facts.outcome = Some(RunOutcome::Cancelled);
        for step in 0..self.graph.len() {
            if !self.facts.steps[step].phase.is_ended() {
                self.end_step(step, Phase::Cancelled, at);
            }
        }
        for id in std::mem::take(&mut self.facts.stops).into_keys() {
            self.touched.push(Touched::Path(id.path));
        }
        self.facts.rework_stops = 0;
        for key in std::mem::take(&mut self.facts.held) {
            self.touch(key);
        }
    }

    /// Puts a unit on the agenda, unless its step is not continued any more.
    pub(super) fn settle_later(&mut self, key: Key) {
        if self.is_live(key.step) {
            self.facts.agenda.insert(Agenda::Settle(key));
        }
    }

    pub(super) fn set_outcome(&mut self, outcome: RunOutcome) {
        if self.facts.outcome.is_none() {
            self.facts.outcome = Some(outcome);
            self.clear_budget_timers();
            self.end_all_reminders();
            // No step of the main graph continues, so the fold does not look at them again.
            let main_len = self.graph.main_len();
            self.facts.agenda.retain(|item| match item {
                Agenda::Signal(place) => place.is_some_and(|at| at >= main_len),
                Agenda::Settle(key) => key.step >= main_len,
                Agenda::Judge(at) | Agenda::Ready(at) | Agenda::Items(at) => *at >= main_len,
                Agenda::End => true,
            });
            self.touch_waiting();
        }
        self.facts.agenda.insert(Agenda::End);
    }

    pub(super) fn end_run(
        &mut self,
        status: FinishStatus,
        path: Option<StepPath>,
        failure: Option<Failure>,
        output: StoredValue,
        at: Timestamp,
    ) {
        self.clear_budget_timers();
        self.facts.ended = Some(RunEnd { status, at, failure, path, output });
        self.facts.agenda.clear();
    }

    pub(in crate::state) fn unit_mut(&mut self, key: Key) -> Option<&mut Unit> {
        let step = self.facts.steps.get_mut(key.step)?;
        match key.item {
            None => Some(&mut step.unit),
            Some(item) => step.items.as_mut()?.units.get_mut(item as usize),
        }
    }

    pub(in crate::state) fn touch(&mut self, key: Key) {
        self.touched.push(Touched::Path(self.path(key)));
    }

    /// Something that holds back new work changed: look at everything that waits.
    pub(in crate::state) fn touch_waiting(&mut self) {
        let keys: Vec<Key> = self
            .facts
            .attempts
            .iter()
            .copied()
            .chain(self.facts.probing.iter().map(|at| Key::step(*at)))
            .collect();
        for key in keys {
            self.touch(key);
        }
        let timers: Vec<StepPath> = self.facts.timers.keys().map(|timer| timer.id.path.clone()).collect();
        self.touched.extend(timers.into_iter().map(Touched::Path));
    }

    pub(in crate::state) fn set_timer(&mut self, timer: TimerId, at: Timestamp) {
        self.note_set(&timer);
        if let Some(former) = self.facts.timers.insert(timer.clone(), at) {
            self.due.remove(&(former, timer.clone()));
        }
        self.due.insert((at, timer));
    }

    pub(in crate::state) fn clear_timer(&mut self, timer: &TimerId) {
        if let Some(at) = self.facts.timers.remove(timer) {
            self.due.remove(&(at, timer.clone()));
            self.facts.clock.forget(timer);
        }
    }
}
