//! Steps begin and end, are blocked and begin again.

use super::attempt::set_task;
use crate::event::{
    ReworkRequested, ScheduledWork, StepBlocked, StepFailed, StepScheduled, StepSucceeded, StopReason,
    TimerId,
};
use crate::id::StepPath;
use crate::state::{Agenda, Kept, Key, Outcome, Phase, Rework, RouteUse, RunState, Stage, StepState, Unit};
use crate::time::Timestamp;

impl RunState {
    pub(super) fn step_scheduled(&mut self, event: &StepScheduled, at: Timestamp) {
        let Some(key) = self.key(&event.id.path) else { return };
        let version = self.facts.version;
        if key.item.is_none() {
            self.facts.agenda.remove(&Agenda::Ready(key.step));
            let step = &mut self.facts.steps[key.step];
            step.phase = Phase::Working;
            step.round = event.id.round;
            step.rounds_run += 1;
            step.named = false;
            step.started_at = Some(at);
            step.base.clone_from(&self.facts.commit);
            step.unit = Unit { attempt: event.id.attempt, since: Some(at), ..Unit::default() };
        } else if let Some(items) = &mut self.facts.steps[key.step].items {
            items.units.push(Unit { attempt: event.id.attempt, since: Some(at), ..Unit::default() });
            items.open += 1;
        }
        match &event.work {
            ScheduledWork::Task(task) => {
                if let Some(unit) = self.unit_mut(key) {
                    set_task(unit, task, version);
                }
                self.begin_attempt(key, at);
            }
            ScheduledWork::Gates => self.open_gate(key.step, 0),
            ScheduledWork::Items
            | ScheduledWork::Approval
            | ScheduledWork::Question
            | ScheduledWork::Wait => {}
        }
        self.check_items(key.step);
        self.touch(key);
    }

    pub(super) fn check_ready(&mut self, at: usize) {
        let step = &self.facts.steps[at];
        if step.unmet == 0 && step.phase == Phase::Pending && !self.graph.is_finish(at) {
            self.facts.agenda.insert(Agenda::Ready(at));
        }
    }

    pub(super) fn step_succeeded(&mut self, event: &StepSucceeded, at: Timestamp) {
        let Some(key) = self.key(&event.path) else { return };
        if key.item.is_some() {
            return self.end_item(key, Stage::Succeeded);
        }
        self.facts.labels.extend(event.labels.clone());
        let step = &mut self.facts.steps[key.step];
        step.last = step.output.clone();
        step.failure = None;
        self.end_step(key.step, Phase::Succeeded, at);
        if let Some(status) = event.finish {
            self.set_outcome(Outcome::Finished { status, path: event.path.clone() });
        }
    }

    pub(super) fn step_skipped(&mut self, path: &StepPath, at: Timestamp) {
        let Some(key) = self.key(path) else { return };
        if key.item.is_some() {
            return self.end_item(key, Stage::Skipped);
        }
        self.facts.steps[key.step].output = Kept::Null;
        self.end_step(key.step, Phase::Skipped, at);
    }

    pub(super) fn step_failed(&mut self, event: &StepFailed, at: Timestamp) {
        let Some(key) = self.key(&event.path) else { return };
        if key.item.is_some() {
            if let Some(unit) = self.unit_mut(key) {
                unit.failure = Some(event.failure.clone());
            }
            return self.end_item(key, Stage::Failed);
        }
        let step = &mut self.facts.steps[key.step];
        step.output = Kept::Null;
        step.failure = Some(event.failure.clone());
        self.end_step(key.step, Phase::Failed { tolerated: event.tolerated }, at);
        if let Some(status) = event.finish {
            self.set_outcome(Outcome::Finished { status, path: event.path.clone() });
        } else if !event.tolerated {
            self.set_outcome(Outcome::Failed {
                path: Some(event.path.clone()),
                failure: event.failure.clone(),
            });
        }
    }

    pub(super) fn end_by_path(&mut self, path: &StepPath, phase: Phase, at: Timestamp) {
        if let Some(key) = self.key(path) {
            self.end_step(key.step, phase, at);
        }
    }

    pub(super) fn end_step(&mut self, at: usize, phase: Phase, now: Timestamp) {
        self.clear_step(at);
        let is_main = !self.graph.is_finish(at);
        let step = &mut self.facts.steps[at];
        let was_ended = step.phase.is_ended();
        let was_satisfied = step.phase.is_satisfied();
        let is_satisfied = phase.is_satisfied();
        step.phase = phase;
        step.ended_at = Some(now);
        if is_main && !was_ended {
            self.facts.unended -= 1;
        }
        if is_satisfied && !was_satisfied {
            let graph = self.graph.clone();
            for dependent in graph.dependents(at) {
                let unmet = &mut self.facts.steps[*dependent].unmet;
                *unmet = unmet.saturating_sub(1);
                self.check_ready(*dependent);
            }
        }
        if self.facts.unended == 0 {
            self.facts.agenda.insert(Agenda::End);
        }
    }

    /// Drops everything that a step has outstanding, except attempts that are being stopped.
    pub(super) fn clear_step(&mut self, at: usize) {
        let key = Key::step(at);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.agenda.remove(&Agenda::Judge(at));
        self.facts.agenda.remove(&Agenda::Ready(at));
        self.facts.agenda.remove(&Agenda::Items(at));
        self.facts.probing.remove(&at);
        self.clear_unit(key);
        let scheduled = self.facts.steps[at].items.as_ref().map_or(0, |items| items.units.len());
        for item in 0..u32::try_from(scheduled).unwrap_or(u32::MAX) {
            self.clear_unit(Key { step: at, item: Some(item) });
        }
    }

    pub(super) fn clear_unit(&mut self, key: Key) {
        self.end_asking(key);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.attempts.remove(&key);
        self.facts.held.remove(&key);
        self.facts.blocked.remove(&key);
        let path = self.path(key);
        let timers: Vec<TimerId> = self.timers_of(&path).map(|(timer, _)| timer.clone()).collect();
        for timer in timers {
            self.clear_timer(&timer);
        }
        self.touch(key);
    }

    pub(super) fn step_blocked(&mut self, event: &StepBlocked) {
        let Some(key) = self.key(&event.path) else { return };
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.blocked.insert(key);
        match key.item {
            None => self.facts.steps[key.step].phase = Phase::Blocked(event.reason.clone()),
            Some(_) => {
                if let Some(unit) = self.unit_mut(key) {
                    unit.stage = Stage::Blocked(event.reason.clone());
                }
                if let Some(items) = &mut self.facts.steps[key.step].items {
                    items.blocked += 1;
                }
                self.check_items(key.step);
            }
        }
        self.touch(key);
    }

    pub(super) fn unblock_key(&mut self, key: Key) {
        if self.facts.blocked.remove(&key)
            && key.item.is_some()
            && let Some(items) = &mut self.facts.steps[key.step].items
        {
            items.blocked -= 1;
        }
    }

    pub(super) fn rework_requested(&mut self, event: &ReworkRequested) {
        let version = self.facts.version;
        self.facts.routes.insert(event.route.clone(), RouteUse { used: event.used, max: event.max });
        let reset: Vec<usize> = event.reset.iter().filter_map(|step| self.graph.find(step)).collect();
        // What is already being stopped there for another reason is waited for as well.
        for (id, reason) in &mut self.facts.stops {
            if *reason != StopReason::Rework && event.reset.contains(&id.path.step) {
                *reason = StopReason::Rework;
                self.facts.rework_stops += 1;
            }
        }
        for at in &reset {
            self.note_late(*at);
            self.clear_step(*at);
            let step = &mut self.facts.steps[*at];
            if step.phase.is_ended() {
                self.facts.unended += 1;
            }
            let former = std::mem::take(step);
            *step = StepState {
                round: former.round,
                rounds_run: former.rounds_run,
                last: former.last,
                commit: former.commit,
                judged: former.judged,
                rework: former.rework,
                ..StepState::default()
            };
        }
        for at in &reset {
            let unmet = self
                .graph
                .needs(*at)
                .iter()
                .filter(|need| !self.facts.steps[**need].phase.is_satisfied())
                .count();
            self.facts.steps[*at].unmet = u32::try_from(unmet).unwrap_or(u32::MAX);
        }
        if let Some(target) = self.graph.find(&event.target) {
            let step = &mut self.facts.steps[target];
            let history = step.rework.take().map_or_else(Vec::new, |former| {
                let mut history = former.history;
                history.push(former.findings);
                history.drain(..history.len().saturating_sub(Rework::HISTORY_MAX));
                history
            });
            let findings = Kept::of(&event.findings, version);
            step.rework = Some(Rework { source: event.source.clone(), findings, history });
            step.named = true;
        }
        for at in &reset {
            if self.graph.find(&event.target) != Some(*at) {
                self.facts.steps[*at].rework = None;
            }
        }
        self.facts.agenda.remove(&Agenda::End);
        for at in reset {
            self.check_ready(at);
        }
    }
}
