//! Steps begin and end, are blocked and begin again.

use super::attempt::set_task;
use crate::event::{
    GateEvaluated, ReworkRequested, ScheduledWork, StepBlocked, StepFailed, StepScheduled, StepSkipped,
    StepSucceeded, StopReason, TimerId, TimerKind, UnblockDecision,
};
use crate::policy::{Verdict, forget_place};
use crate::state::agenda::Agenda;
use crate::state::control::{FailedOn, StepOrder};
use crate::state::step::{Phase, Rework, Stage, StepState, Unit};
use crate::state::stored_value::StoredValue;
use crate::state::{Key, RouteUse, RunOutcome, RunState};
use everfold_base::id::StepPath;
use everfold_base::json::{Hash, Payload, Value, canonical};
use everfold_base::time::Timestamp;
use everfold_language::definition::Join;

impl RunState {
    pub(super) fn step_scheduled(&mut self, event: &StepScheduled, at: Timestamp) {
        let Some(key) = self.key(&event.id.path) else { return };
        let version = self.facts.version;
        self.forget_reset(&event.id.path);
        if key.item.is_none() {
            self.facts.agenda.remove(&Agenda::Ready(key.step));
            let step = &mut self.facts.steps[key.step];
            step.phase = Phase::Working;
            step.round = event.id.round;
            step.rounds_run += 1;
            step.named = false;
            self.facts.order.passed.remove(&key.step);
            let step = &mut self.facts.steps[key.step];
            step.started_at = Some(at);
            step.base.clone_from(&self.facts.commit);
            step.unit = Unit { attempt: event.id.attempt, since: Some(at), ..Unit::default() };
        } else if let Some(items) = &mut self.facts.steps[key.step].items {
            let mut unit = Unit { attempt: event.id.attempt, since: Some(at), ..Unit::default() };
            let (step, item) = (&event.id.path.step, key.item.unwrap_or_default());
            match &event.work {
                ScheduledWork::Kept(_) => {
                    let kept = self.facts.kept.of(step, item);
                    let is_skipped = kept.is_some_and(|kept| kept.is_skipped);
                    unit.output = kept.map_or(StoredValue::Null, |kept| kept.output.clone());
                    // It ends as where a person decides so.
                    let decision = if is_skipped { UnblockDecision::Skip } else { UnblockDecision::Proceed };
                    unit.stage = Stage::Unblocked(decision);
                }
                _its_work => self.facts.kept.forget_item(step, item),
            }
            items.units.push(unit);
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
            ScheduledWork::Items | ScheduledWork::Approval | ScheduledWork::Question => {}
            ScheduledWork::Kept(_) => self.settle_later(key),
            ScheduledWork::Wait => self.begin_waiting(key),
        }
        self.check_items(key.step);
        self.touch(key);
    }

    pub(super) fn check_ready(&mut self, at: usize) {
        let step = &self.facts.steps[at];
        let is_met = step.unmet == 0 || (step.order.met > 0 && self.graph.join(at) == Join::Any);
        if is_met && step.phase == Phase::Pending && !self.graph.is_finish(at) {
            self.facts.agenda.insert(Agenda::Ready(at));
        }
    }

    pub(super) fn step_succeeded(&mut self, event: &StepSucceeded, at: Timestamp) {
        let Some(key) = self.key(&event.path) else { return };
        if key.item.is_some() {
            return self.end_item(key, Stage::Succeeded);
        }
        self.facts.labels.extend(event.labels.clone());
        let version = self.facts.version;
        let step = &mut self.facts.steps[key.step];
        step.failure = None;
        if let Some(output) = &event.output {
            step.output = StoredValue::of(output, version);
        }
        self.end_step(key.step, Phase::Succeeded, at);
        if let Some(status) = event.finish {
            self.set_outcome(RunOutcome::Finished { status, path: Some(event.path.clone()) });
        }
    }

    pub(super) fn step_skipped(&mut self, event: &StepSkipped, at: Timestamp) {
        let Some(key) = self.key(&event.path) else { return };
        if key.item.is_some() {
            return self.end_item(key, Stage::Skipped);
        }
        self.facts.steps[key.step].output = self.otherwise(event.output.as_ref());
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
        let output = self.otherwise(event.output.as_ref());
        let step = &mut self.facts.steps[key.step];
        step.output = output;
        step.failure = Some(event.failure.clone());
        self.end_step(key.step, Phase::Failed { tolerated: event.tolerated }, at);
        if let Some(status) = event.finish {
            self.set_outcome(RunOutcome::Finished { status, path: Some(event.path.clone()) });
        } else if !event.tolerated {
            self.set_outcome(RunOutcome::Failed {
                path: Some(event.path.clone()),
                failure: event.failure.clone(),
            });
        }
    }

    /// The output of a step that ended without one of its own.
    fn otherwise(&self, output: Option<&Payload>) -> StoredValue {
        output.map_or(StoredValue::Null, |output| StoredValue::of(output, self.facts.version))
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
        let newly_satisfied = phase.is_satisfied() && !step.phase.is_satisfied();
        let newly_succeeded = phase == Phase::Succeeded && step.phase != Phase::Succeeded;
        let is_passed = matches!(phase, Phase::Succeeded | Phase::Failed { tolerated: true });
        let keeps_nothing = phase.is_satisfied();
        step.phase = phase;
        step.order.cut = None;
        step.ended_at = Some(now);
        if keeps_nothing {
            self.facts.kept.forget(&self.graph.step(at).id);
        }
        if is_passed {
            self.facts.refused.forget(&self.graph.step(at).id);
        }
        if is_main && !was_ended {
            self.facts.unended = self.facts.unended.saturating_sub(1);
        }
        let graph = self.graph.clone();
        for dependent in graph.dependents(at) {
            let counts_ends = graph.join(*dependent) != Join::Done;
            let step = &mut self.facts.steps[*dependent];
            if if counts_ends { !was_ended } else { newly_satisfied } {
                step.unmet = step.unmet.saturating_sub(1);
            }
            step.order.met += u32::from(counts_ends && newly_succeeded);
            self.check_ready(*dependent);
        }
        self.take_up_deferred(at);
        if self.facts.unended == 0 {
            self.facts.agenda.insert(Agenda::End);
        }
    }

    /// Drops everything that a step has outstanding, except attempts that are being stopped.
    pub(super) fn clear_step(&mut self, at: usize) {
        self.clear_agenda(at);
        for key in self.units_of(at) {
            self.clear_unit(key);
        }
    }

    fn clear_agenda(&mut self, at: usize) {
        self.facts.agenda.remove(&Agenda::Signal(Some(at)));
        self.facts.agenda.remove(&Agenda::Settle(Key::step(at)));
        self.facts.agenda.remove(&Agenda::Judge(at));
        self.facts.agenda.remove(&Agenda::Ready(at));
        self.facts.agenda.remove(&Agenda::Items(at));
        self.facts.probing.remove(&at);
    }

    /// The step and its items that were scheduled.
    fn units_of(&self, at: usize) -> Vec<Key> {
        let scheduled = self.facts.steps[at].items.as_ref().map_or(0, |items| items.units.len());
        let items =
            (0..u32::try_from(scheduled).unwrap_or(u32::MAX)).map(|item| Key { step: at, item: Some(item) });
        std::iter::once(Key::step(at)).chain(items).collect()
    }

    /// Drops what a step asks, probes and waits for; its attempts go on, and so does its deadline
    /// unless the round is over with it.
    pub(super) fn quiet_step(&mut self, at: usize, is_over: bool) {
        self.clear_agenda(at);
        for key in self.units_of(at) {
            self.end_asking(key);
            self.facts.order.waiting.remove(&key);
            self.end_signal_reminders(key);
            self.facts.agenda.remove(&Agenda::Settle(key));
            self.unblock_key(key);
            let path = self.path(key);
            let timers: Vec<TimerId> = self.timers_of(&path).map(|(timer, _)| timer.clone()).collect();
            for timer in timers {
                match timer.kind {
                    TimerKind::Timeout => {}
                    TimerKind::Deadline if !is_over => {}
                    _not_of_an_attempt => self.clear_timer(&timer),
                }
            }
            self.touch(key);
        }
    }

    pub(super) fn clear_unit(&mut self, key: Key) {
        self.end_asking(key);
        self.facts.order.waiting.remove(&key);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.attempts.remove(&key);
        self.facts.held.remove(&key);
        self.facts.blocked.remove(&key);
        self.end_blocked_reminders(key);
        let path = self.path(key);
        self.facts.account.blocked.remove(&path);
        self.facts.reminders.forget(&path, None);
        let timers: Vec<TimerId> = self.timers_of(&path).map(|(timer, _)| timer.clone()).collect();
        for timer in timers {
            self.clear_timer(&timer);
        }
        self.touch(key);
    }

    pub(super) fn step_blocked(&mut self, event: &StepBlocked) {
        let Some(key) = self.key(&event.path) else { return };
        if key.item.is_none() {
            self.quiet_step(key.step, false);
        }
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.blocked.insert(key);
        self.owe_reminder(key);
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
        if key.item.is_none() {
            self.take_up_deferred(key.step);
        }
    }

    pub(super) fn unblock_key(&mut self, key: Key) {
        if !self.facts.blocked.remove(&key) {
            return;
        }
        self.end_blocked_reminders(key);
        let path = self.path(key);
        self.facts.account.blocked.remove(&path);
        if key.item.is_some()
            && let Some(items) = &mut self.facts.steps[key.step].items
        {
            items.blocked = items.blocked.saturating_sub(1);
        }
    }

    pub(super) fn rework_requested(&mut self, event: &ReworkRequested) {
        let version = self.facts.version;
        self.facts.routes.insert(event.route.clone(), RouteUse { used: event.used, max: event.max });
        if event.source.by.is_none() && !event.hold {
            self.facts.edge.reworks += 1;
        }
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
            if !event.is_retry_of(&self.graph.step(*at).id) {
                self.facts.kept.forget(&self.graph.step(*at).id);
            }
            let step = &mut self.facts.steps[*at];
            if step.phase.is_ended() {
                self.facts.unended += 1;
            }
            let mut former = std::mem::take(step);
            *step = StepState {
                round: former.round,
                rounds_run: former.rounds_run,
                commit: former.commit.take(),
                judged: std::mem::take(&mut former.judged),
                rework: former.rework.take(),
                named: former.named && former.order.hold,
                order: StepOrder {
                    hold: former.order.hold,
                    failed_on: std::mem::take(&mut former.order.failed_on),
                    ..StepOrder::default()
                },
                last: former.into_last(),
                ..StepState::default()
            };
        }
        reset.iter().for_each(|at| self.count_needs(*at));
        if let Some(target) = self.graph.find(&event.target) {
            let step = &mut self.facts.steps[target];
            let history = step.rework.take().map_or_else(Vec::new, |former| {
                let mut history = former.history;
                history.push(former.findings);
                history.drain(..history.len().saturating_sub(Rework::HISTORY_MAX));
                history
            });
            let findings = StoredValue::of(&event.findings, version);
            step.rework = Some(Rework { source: event.source.clone(), findings, history });
            step.named = true;
            step.order.hold = event.hold;
        }
        let retried = event.retried().and_then(|step| self.graph.find(step));
        for at in &reset {
            // A round that waits for a person, or that a person has done again, keeps its findings.
            let keeps = self.facts.steps[*at].order.hold || retried == Some(*at);
            if self.graph.find(&event.target) != Some(*at) && !keeps {
                self.facts.steps[*at].rework = None;
            }
        }
        self.facts.agenda.remove(&Agenda::End);
        for at in reset {
            self.check_ready(at);
        }
    }

    /// What a step that begins anew waits for.
    pub(super) fn count_needs(&mut self, at: usize) {
        let counts_ends = self.graph.join(at) != Join::Done;
        let phases = || self.graph.needs(at).iter().map(|need| &self.facts.steps[*need].phase);
        let unmet = if counts_ends {
            phases().filter(|phase| !phase.is_ended()).count()
        } else {
            phases().filter(|phase| !phase.is_satisfied()).count()
        };
        let met = phases().filter(|phase| counts_ends && **phase == Phase::Succeeded).count();
        let step = &mut self.facts.steps[at];
        step.unmet = u32::try_from(unmet).unwrap_or(u32::MAX);
        step.order.met = u32::try_from(met).unwrap_or(u32::MAX);
    }

    /// Notes the evidence of a failure, and whether it is that of the gate's failure before.
    pub(super) fn note_failed_evidence(&mut self, event: &GateEvaluated) {
        let is_failure = event.verdict == Verdict::Fail;
        let Some(key) = self.current_gate(&event.id, &event.gate).filter(|_| is_failure) else { return };
        let hash = match &event.evidence {
            Payload::Blob(blob) => blob.hash,
            Payload::Inline(text) => {
                let mut found = text.value();
                forget_place(&mut found);
                forget_sources(&mut found);
                Hash::of(canonical(&found).as_bytes())
            }
        };
        let failed_on = &mut self.facts.steps[key.step].order.failed_on;
        let again = failed_on.get(&event.gate).is_some_and(|former| former.hash == hash);
        failed_on.insert(event.gate.clone(), FailedOn { hash, again });
    }
}

/// Takes out where evidence came from, and that of a combinator's members: a source names the commit, which is
/// another one each round. What was read is left in: another document counts as other evidence, whatever the verdict on it.
/// Where the source says so, whether it is fresh and what was said of it is taken out, too; evidence of former releases does
/// not, and counts as it always did.
fn forget_sources(evidence: &mut Value) {
    let Some(fields) = evidence.as_object_mut() else { return };
    let source = fields.remove("source").unwrap_or_default();
    if compares_found(&source) {
        fields.remove("unchanged");
    }
    let read = documents(&source);
    if !read.is_empty() {
        fields.insert("source".to_owned(), Value::Array(read));
    }
    for member in fields.get_mut("members").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_found = compares_found(&member["evidence"]["source"]);
        if let Some(said) = member.as_object_mut().filter(|_| is_found) {
            ["verdict", "reason", "findings"].iter().for_each(|word| drop(said.remove(*word)));
        }
        if let Some(found) = member.get_mut("evidence") {
            forget_sources(found);
        }
    }
}

/// The parts of a source: one, or those of several files.
fn parts(source: &Value) -> &[Value] {
    source.as_array().map_or(std::slice::from_ref(source), Vec::as_slice)
}

/// Whether only what was found is compared.
fn compares_found(source: &Value) -> bool {
    parts(source).iter().any(|one| one["fresh_since"]["compare"] == "found")
}

/// The files that evidence was read from, by the hashes of their bytes, and the change that it was taken from.
fn documents(source: &Value) -> Vec<Value> {
    let read = |one: &Value| match (&one["blob"], &one["patch"]) {
        (Value::String(_), _) => Some(serde_json::json!([one["path"], one["blob"]])),
        (_, Value::String(patch)) => Some(serde_json::json!(["patch", patch])),
        _neither => None,
    };
    parts(source).iter().filter_map(read).collect()
}
