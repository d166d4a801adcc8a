//! Attempts begin, end, are stopped and come again.

use crate::effect::Touched;
use crate::event::{
    AttemptFailed, AttemptLost, AttemptStarted, AttemptSucceeded, ChildFinished, RetryScheduled,
    ScheduledTask, StopReason, TimerId, TimerKind,
};
use crate::state::agenda::Agenda;
use crate::state::step::{AttemptEnding, Phase, Settling, Stage, Unit};
use crate::state::stored_value::StoredValue;
use crate::state::{HoldEnd, Key, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, Version};
use everfold_base::json::Payload;
use everfold_base::time::Timestamp;
use everfold_language::definition::{Graph, Work};

impl RunState {
    /// The current attempt of a unit is to be started.
    pub(super) fn begin_attempt(&mut self, key: Key, at: Timestamp) {
        let id = self.attempt_id(key);
        self.facts.progress.remove(&id.path);
        self.facts.effects.schedule(&id.path, self.facts.commit.as_ref());
        let Some(unit) = self.unit_mut(key) else { return };
        unit.stage = Stage::Scheduled;
        unit.since = Some(at);
        unit.usage_seq = 0;
        let limit = unit.timeout_ms.filter(|_| Graph::is_timed_here(&unit.kind));
        if let Some(limit) = limit {
            let due = self.now().plus(std::time::Duration::from_millis(limit));
            self.set_timer(TimerId { id, kind: TimerKind::Timeout, name: String::new() }, due);
        }
        self.facts.attempts.insert(key);
        if self.facts.rework_stops > 0 {
            self.facts.held.insert(key);
        }
        self.touch(key);
    }

    /// A worker takes an attempt, where one does.
    pub(super) fn attempt_taken(&mut self, event: &AttemptStarted, at: Timestamp) {
        if let Some(holder) = &event.holder
            && self.current(&event.id).is_some()
        {
            self.facts.workers.take(&event.id, holder, at);
        }
    }

    pub(super) fn attempt_started(&mut self, id: &AttemptId, at: Timestamp) {
        let Some(key) = self.current(id) else { return };
        let Some(unit) = self.unit_mut(key) else { return };
        if unit.stage == Stage::Scheduled {
            unit.stage = Stage::Running;
            unit.since = Some(at);
            self.touch(key);
        }
    }

    /// Ends an attempt wherever it stands: among the stopped, or as the current one of a unit.
    /// Gives the unit if the attempt was its current one, and why it had been stopped.
    pub(super) fn end_attempt(&mut self, id: &AttemptId) -> (Option<Key>, Option<StopReason>) {
        self.facts.effects.end(id);
        // Unless its report was noted already.
        self.facts.workers.end(id, HoldEnd::Unreported);
        let stopped = self.facts.stops.remove(id);
        if let Some(reason) = stopped {
            if reason == StopReason::Rework {
                self.facts.rework_stops = self.facts.rework_stops.saturating_sub(1);
                if self.facts.rework_stops == 0 {
                    let held = std::mem::take(&mut self.facts.held);
                    held.into_iter().for_each(|key| self.touch(key));
                    // A step that waited may begin now.
                    self.touched.push(Touched::Run);
                }
            }
            self.touched.push(Touched::Path(id.path.clone()));
        }
        let Some(at) = self.key(&id.path).map(|key| key.step) else { return (None, stopped) };
        let ended = self.current(id).filter(|key| self.end_unit(*key, id));
        self.take_up_deferred(at);
        (ended, stopped)
    }

    /// Ends the current attempt of a unit; true where the unit goes on from there. A step that did
    /// not wait for the end of what it stopped goes on by itself.
    fn end_unit(&mut self, key: Key, id: &AttemptId) -> bool {
        if !self.unit_at(key).is_some_and(|unit| unit.stage.is_in_flight()) {
            return false;
        }
        let is_awaited = self.facts.steps[key.step].phase == Phase::Working;
        if !is_awaited && let Some(unit) = self.unit_mut(key) {
            unit.stage = Stage::Idle;
        }
        self.facts.attempts.remove(&key);
        self.facts.held.remove(&key);
        self.clear_timer(&TimerId { id: id.clone(), kind: TimerKind::Timeout, name: String::new() });
        self.touch(key);
        is_awaited && !self.ended_by_cut(key)
    }

    pub(super) fn attempt_succeeded(&mut self, event: &AttemptSucceeded) {
        self.facts.workers.end(&event.id, HoldEnd::of(event.notes.report));
        let (key, stopped) = self.end_attempt(&event.id);
        self.note_commit(&event.id, event.commit.as_ref());
        let Some(key) = key else { return };
        self.facts.interrupts.forget(&event.id.path);
        self.apply_notes(key, &event.notes);
        if key.item.is_none() && stopped != Some(StopReason::Timeout) {
            self.facts.steps[key.step].artefacts = event
                .artefacts
                .iter()
                .map(|artefact| (artefact.name.clone(), artefact.path.clone()))
                .collect();
        }
        self.work_done(key, stopped, &event.output);
    }

    /// The work of a unit ended well.
    fn work_done(&mut self, key: Key, stopped: Option<StopReason>, output: &Payload) {
        if stopped == Some(StopReason::Timeout) {
            // The limit was recorded first, so the late result does not count.
            return self.settle_unit(key, AttemptEnding::Failed, Some(timed_out()));
        }
        let output = StoredValue::of(output, self.facts.version);
        if matches!(self.graph.step(key.step).work, Some(Work::Approval(_))) {
            self.facts.seen.look(self.path(key), output);
            return self.settle_unit(key, AttemptEnding::Looked, None);
        }
        match key.item {
            None => {
                let step = &mut self.facts.steps[key.step];
                step.output = output;
                step.unit.stage = Stage::Ended(AttemptEnding::Succeeded);
                self.open_gate(key.step, 0);
            }
            Some(_) => {
                if let Some(unit) = self.unit_mut(key) {
                    unit.output = output;
                }
                self.end_item(key, Stage::Succeeded);
            }
        }
    }

    pub(super) fn attempt_failed(&mut self, event: &AttemptFailed) {
        self.facts.workers.end(&event.id, HoldEnd::of(event.notes.report));
        let (key, stopped) = self.end_attempt(&event.id);
        self.note_commit(&event.id, event.commit.as_ref());
        let Some(key) = key else { return };
        if !event.notes.is_silent() {
            self.apply_notes(key, &event.notes);
        }
        if stopped == Some(StopReason::Interrupt) {
            // Whatever it ended as, it was asked to: the round is open.
            self.facts.interrupts.end(&event.id);
            return self.settle_unit(key, AttemptEnding::Interrupted, None);
        }
        self.work_failed(key, stopped, &event.failure);
    }

    /// The work of a unit failed.
    fn work_failed(&mut self, key: Key, stopped: Option<StopReason>, failure: &Failure) {
        let failure = match stopped {
            // Work that never began is for other hands than work that took too long.
            Some(StopReason::Timeout) if failure.is_no_worker() => failure.clone(),
            Some(StopReason::Timeout) => timed_out(),
            Some(StopReason::Budget) => self.budget_failure(),
            _of_its_own => failure.clone(),
        };
        self.settle_unit(key, AttemptEnding::Failed, Some(failure));
    }

    pub(super) fn attempt_lost(&mut self, event: &AttemptLost) {
        self.facts.workers.end(&event.id, HoldEnd::Lost);
        let (Some(key), _) = self.end_attempt(&event.id) else { return };
        if let Some(unit) = self.unit_mut(key) {
            unit.lost += 1;
        }
        let failure = Failure::new(FailureKind::Lost, event.reason.clone());
        self.settle_unit(key, AttemptEnding::Lost(event.fallback), Some(failure));
    }

    pub(super) fn note_commit(&mut self, id: &AttemptId, commit: Option<&String>) {
        let Some(commit) = commit else { return };
        self.facts.commit = Some(commit.clone());
        if let Some(key) = self.current(id) {
            self.facts.steps[key.step].commit = Some(commit.clone());
            self.note_round_change(key.step, commit);
        }
    }

    /// The unit's attempt ended; what follows is on the agenda.
    pub(super) fn settle_unit(&mut self, key: Key, ending: AttemptEnding, failure: Option<Failure>) {
        if let Some(unit) = self.unit_mut(key) {
            unit.stage = Stage::Ended(ending);
            unit.failure = failure;
        }
        if key.item.is_none() {
            self.facts.steps[key.step].phase = Phase::Settling(Settling::Work);
        }
        self.settle_later(key);
    }

    pub(super) fn stop_requested(&mut self, ids: &[AttemptId], reason: StopReason) {
        for id in ids {
            if self.facts.stops.insert(id.clone(), reason).is_none() && reason == StopReason::Rework {
                self.facts.rework_stops += 1;
            }
            if reason == StopReason::Interrupt {
                let session = self.reported_session(id);
                let unit = self.current(id).and_then(|key| self.unit_at(key));
                let has_begun = unit.is_some_and(|unit| unit.stage == Stage::Running);
                self.facts.interrupts.begin(id, session, has_begun);
            }
            if let Some(key) = self.current(id) {
                self.facts.attempts.remove(&key);
                self.facts.held.remove(&key);
            }
            self.clear_timer(&TimerId { id: id.clone(), kind: TimerKind::Timeout, name: String::new() });
            self.touched.push(Touched::Path(id.path.clone()));
        }
    }

    pub(super) fn retry_scheduled(&mut self, event: &RetryScheduled) {
        let clock = self.now();
        let Some(key) = self.key(&event.id.path) else { return };
        let version = self.facts.version;
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.forget_reset(&event.id.path);
        self.unblock_key(key);
        if key.item.is_none() {
            let step = &mut self.facts.steps[key.step];
            step.phase = Phase::Working;
            // They belong to what the former attempt left.
            step.policies.clear();
        }
        let Some(unit) = self.unit_mut(key) else { return };
        unit.attempt = event.id.attempt;
        unit.failure = None;
        if let Some(people) = &mut unit.people {
            (people.approval, people.question, people.expired) = (None, None, false);
            people.ask = StoredValue::Null;
        }
        unit.cut = None;
        if let Some(task) = &event.task {
            set_task(unit, task, version);
        }
        if unit.kind.is_empty() {
            // People are asked again, or time passes again: that follows.
            (unit.stage, unit.since) = (Stage::Idle, Some(clock));
            self.begin_waiting(key);
            self.touch(key);
        } else if event.at > clock {
            unit.stage = Stage::RetryAt(event.at);
            self.set_timer(
                TimerId { id: event.id.clone(), kind: TimerKind::Retry, name: String::new() },
                event.at,
            );
            self.touch(key);
        } else {
            self.begin_attempt(key, clock);
        }
    }

    /// The end of a child run is the end of the attempt that started it.
    pub(super) fn child_finished(&mut self, event: &ChildFinished) {
        let (key, stopped) = self.end_attempt(&event.id);
        self.note_commit(&event.id, event.commit.as_ref());
        let Some(key) = key else { return };
        match &event.failure {
            None => self.work_done(key, stopped, &event.output),
            Some(failure) => self.work_failed(key, stopped, failure),
        }
    }

    pub(super) fn timer_fired(&mut self, timer: &TimerId, at: Timestamp) {
        if !self.facts.timers.contains_key(timer) {
            return;
        }
        self.clear_timer(timer);
        self.touched.push(Touched::Path(timer.id.path.clone()));
        if timer.kind == TimerKind::Reminder {
            return self.facts.reminders.remind(timer);
        }
        if timer.kind == TimerKind::Budget {
            return self.budget_timer_fired(timer);
        }
        if timer.kind == TimerKind::Deadline {
            // Of the round, whatever attempt it is at.
            return self.deadline_passed(timer);
        }
        let Some(key) = self.current(&timer.id) else { return };
        match timer.kind {
            TimerKind::Retry => self.begin_attempt(key, at),
            TimerKind::Wait => self.waiting_ended(key, StoredValue::Null, None),
            TimerKind::Poll => {
                let judging = &self.facts.steps[key.step].judging;
                if judging.kind.is_empty() {
                    // An expression: no probe is needed.
                    self.facts.agenda.insert(Agenda::Judge(key.step));
                    return;
                }
                let probe_no = judging.probe_no + 1;
                self.facts.steps[key.step].note_probe(&timer.name, probe_no, at);
                self.facts.probing.insert(key.step);
            }
            TimerKind::Expiry => self.people_expired(key, &timer.id, at),
            TimerKind::Timeout | TimerKind::Deadline | TimerKind::Reminder | TimerKind::Budget => {}
            TimerKind::Signal => self.wait_is_over(key),
        }
    }
}

pub(super) fn set_task(unit: &mut Unit, task: &ScheduledTask, version: Version) {
    unit.kind.clone_from(&task.kind);
    unit.task = StoredValue::of(&task.task, version);
    unit.timeout_ms = task.timeout_ms;
    unit.grace_ms = task.grace_ms;
}

pub(super) fn timed_out() -> Failure {
    Failure { exit_code: Some(124), ..Failure::new(FailureKind::Timeout, "the time limit passed") }
}
