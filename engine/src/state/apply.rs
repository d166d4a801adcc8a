//! The fold.
//!
//! Law: facts are not argued with. A fact about something that is no longer current (an attempt that
//! was stopped, a gate of a reset round) counts the version and changes nothing else.

use std::collections::BTreeMap;

use super::{
    Agenda, ApprovalState, AttemptEnding, CastVote, Ended, EventMeta, GateVerdict, Items, Judging, Kept, Key,
    Outcome, Phase, Rework, RouteUse, RunState, Settling, Stage, Started, StepState, Unit,
};
use crate::definition::{FinishStatus, OnItemFailure, Vote};
use crate::effect::Touched;
use crate::event::{
    ApprovalDecided, ApprovalRequested, AttemptFailed, AttemptLost, AttemptSucceeded, GateEvaluated,
    ItemsExpanded, ProbeFailed, ProbeScheduled, RetryScheduled, ReworkRequested, RunEvent, RunStarted,
    ScheduledTask, ScheduledWork, StepBlocked, StepFailed, StepScheduled, StepSucceeded, StopReason, TimerId,
    TimerKind, UnblockDecision, Unblocked, VoteCast,
};
use crate::failure::{Failure, FailureKind};
use crate::id::{AttemptId, StepPath};
use crate::json::Value;
use crate::policy::Verdict;
use crate::time::Timestamp;

/// Inputs that are remembered by their id.
const INPUTS_MAX: usize = 64;

impl RunState {
    /// Folds one fact.
    pub fn apply(&mut self, event: &RunEvent, meta: &EventMeta) {
        self.facts.version = self.facts.version.next();
        self.facts.last_at = self.facts.last_at.max(meta.at);
        // Reports of work are recognised by what they are about; these are not.
        let is_known_by_id = !meta.actor.is_engine() || matches!(event, RunEvent::WorkspacePrepared(_));
        if is_known_by_id && self.facts.inputs.back() != Some(&meta.input) {
            self.facts.inputs.push_back(meta.input);
            if self.facts.inputs.len() > INPUTS_MAX {
                self.facts.inputs.pop_front();
            }
        }
        match event {
            RunEvent::RunStarted(event) => self.run_started(event, meta),
            RunEvent::StepScheduled(event) => self.step_scheduled(event, meta.at),
            RunEvent::WorkspacePrepared(event) => {
                self.facts.workspace.clone_from(&event.workspace);
                self.facts.commit = event.workspace.as_ref().and_then(|workspace| workspace.commit.clone());
                self.touch_waiting();
            }
            RunEvent::ItemsExpanded(event) => self.items_expanded(event),
            RunEvent::AttemptStarted(event) => self.attempt_started(&event.id, meta.at),
            RunEvent::AttemptSucceeded(event) => self.attempt_succeeded(event),
            RunEvent::AttemptFailed(event) => self.attempt_failed(event),
            RunEvent::AttemptLost(event) => self.attempt_lost(event),
            RunEvent::StopRequested(event) => self.stop_requested(&event.ids, event.reason),
            RunEvent::RetryScheduled(event) => self.retry_scheduled(event, meta.at),
            RunEvent::StepSucceeded(event) => self.step_succeeded(event, meta.at),
            RunEvent::StepSkipped(event) => self.step_skipped(&event.path, meta.at),
            RunEvent::StepFailed(event) => self.step_failed(event, meta.at),
            RunEvent::StepBlocked(event) => self.step_blocked(event),
            RunEvent::StepCancelled(event) => self.end_by_path(&event.path, Phase::Cancelled, meta.at),
            RunEvent::ProbeScheduled(event) => self.probe_scheduled(event, meta.at),
            RunEvent::GateEvaluated(event) => self.gate_evaluated(event, meta.at),
            RunEvent::ProbeFailed(event) => self.probe_failed(event),
            RunEvent::ReworkRequested(event) => self.rework_requested(event),
            RunEvent::ApprovalRequested(event) => self.approval_requested(event, meta.at),
            RunEvent::VoteCast(event) => self.vote_cast(event, meta),
            RunEvent::ApprovalDecided(event) => self.approval_decided(event),
            RunEvent::TimerSet(event) => self.timer_set(&event.timer, event.at),
            RunEvent::TimerFired(event) => self.timer_fired(&event.timer, meta.at),
            RunEvent::UsageRecorded(event) => {
                self.facts.usage.input_tokens += event.usage.input_tokens + event.usage.cached_tokens;
                self.facts.usage.output_tokens += event.usage.output_tokens;
                self.facts.usage.cost_micros += event.usage.cost_micros;
                if let Some(unit) = self.current(&event.id).and_then(|key| self.unit_mut(key)) {
                    unit.usage_seq = event.seq;
                }
            }
            RunEvent::RunPaused(_) => self.set_paused(true),
            RunEvent::RunResumed(_) => self.set_paused(false),
            RunEvent::RunUnblocked(event) => self.run_unblocked(&event.unblocked),
            RunEvent::CancelRequested(_) => {
                self.facts.cancels += 1;
                self.set_outcome(Outcome::Cancelled);
            }
            RunEvent::RunCancelled(_) => {
                self.end_run(FinishStatus::Cancelled, None, None, Kept::Null, meta.at)
            }
            RunEvent::RunSucceeded(event) => {
                let output = Kept::of(&event.output, self.facts.version);
                self.end_run(FinishStatus::Succeeded, None, None, output, meta.at);
            }
            RunEvent::RunFailed(event) => {
                let (path, failure) = (event.path.clone(), Some(event.failure.clone()));
                self.end_run(FinishStatus::Failed, path, failure, Kept::Null, meta.at);
            }
            RunEvent::Advanced(_) | RunEvent::NoteAdded(_) => {}
        }
        // Advancing or not depends on nearly everything, and costs little to look up.
        self.touched.push(Touched::Run);
    }

    fn run_started(&mut self, event: &RunStarted, meta: &EventMeta) {
        self.facts.started = Some(Started {
            run: event.run,
            pipeline: event.pipeline.clone(),
            definition: event.definition,
            title: event.title.clone(),
            cwd: event.cwd.clone(),
            entropy: event.entropy,
            at: meta.at,
            by: meta.actor.clone(),
        });
        self.facts.labels.clone_from(&event.labels);
        self.facts.input = Kept::inline(&event.input, self.facts.version);
        for at in 0..self.graph.main_len() {
            self.check_ready(at);
        }
        if self.graph.main_len() == 0 {
            self.facts.agenda.insert(Agenda::End);
        }
    }

    fn check_ready(&mut self, at: usize) {
        let step = &self.facts.steps[at];
        if step.unmet == 0 && step.phase == Phase::Pending && !self.graph.is_finish(at) {
            self.facts.agenda.insert(Agenda::Ready(at));
        }
    }

    fn step_scheduled(&mut self, event: &StepScheduled, at: Timestamp) {
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
            ScheduledWork::Items | ScheduledWork::Approval | ScheduledWork::Wait => {}
        }
        self.check_items(key.step);
        self.touch(key);
    }

    /// The current attempt of a unit is to be started.
    fn begin_attempt(&mut self, key: Key, at: Timestamp) {
        let id = self.attempt_id(key);
        let Some(unit) = self.unit_mut(key) else { return };
        unit.stage = Stage::Scheduled;
        unit.since = Some(at);
        unit.usage_seq = 0;
        let limit = unit.timeout_ms.filter(|_| super::Graph::is_timed_here(&unit.kind));
        if let Some(limit) = limit {
            let due = at.plus(std::time::Duration::from_millis(limit));
            self.set_timer(TimerId { id, kind: TimerKind::Timeout, name: String::new() }, due);
        }
        self.facts.attempts.insert(key);
        if self.facts.rework_stops > 0 {
            self.facts.held.insert(key);
        }
        self.touch(key);
    }

    fn items_expanded(&mut self, event: &ItemsExpanded) {
        let Some(at) = self.graph.find(&event.step) else { return };
        let version = self.facts.version;
        let list: Vec<Kept> = event.items.iter().map(|item| Kept::of(item, version)).collect();
        self.facts.steps[at].items =
            Some(Items { list, max_in_flight: event.max_in_flight, ..Items::default() });
        self.check_items(at);
    }

    /// Puts a `foreach` on the agenda where another item may start, or where all are over.
    fn check_items(&mut self, at: usize) {
        let step = &mut self.facts.steps[at];
        let Some(items) = &step.items else { return };
        if step.phase != Phase::Working {
            return;
        }
        if items.is_over() {
            self.facts.agenda.remove(&Agenda::Items(at));
            if items.failed == 0 {
                self.open_gate(at, 0);
            } else {
                step.phase = Phase::Settling(Settling::Items);
                self.settle_later(Key::step(at));
            }
        } else if items.has_room() {
            self.facts.agenda.insert(Agenda::Items(at));
        } else {
            self.facts.agenda.remove(&Agenda::Items(at));
        }
    }

    fn attempt_started(&mut self, id: &AttemptId, at: Timestamp) {
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
    fn end_attempt(&mut self, id: &AttemptId) -> (Option<Key>, Option<StopReason>) {
        let stopped = self.facts.stops.remove(id);
        if let Some(reason) = stopped {
            if reason == StopReason::Rework {
                self.facts.rework_stops -= 1;
                if self.facts.rework_stops == 0 {
                    let held = std::mem::take(&mut self.facts.held);
                    held.into_iter().for_each(|key| self.touch(key));
                }
            }
            self.touched.push(Touched::Path(id.path.clone()));
        }
        let Some(key) = self.current(id) else { return (None, stopped) };
        if !self.unit_at(key).is_some_and(|unit| unit.stage.is_in_flight()) {
            return (None, stopped);
        }
        self.facts.attempts.remove(&key);
        self.facts.held.remove(&key);
        self.clear_timer(&TimerId { id: id.clone(), kind: TimerKind::Timeout, name: String::new() });
        self.touch(key);
        (Some(key), stopped)
    }

    fn attempt_succeeded(&mut self, event: &AttemptSucceeded) {
        let version = self.facts.version;
        let (key, stopped) = self.end_attempt(&event.id);
        self.note_commit(&event.id, event.commit.as_ref());
        let Some(key) = key else { return };
        if stopped == Some(StopReason::Timeout) {
            // The limit was recorded first, so the late result does not count.
            return self.settle_unit(key, AttemptEnding::Failed, Some(timed_out()));
        }
        let output = Kept::of(&event.output, version);
        match key.item {
            None => {
                let step = &mut self.facts.steps[key.step];
                step.output = output;
                step.artefacts = event
                    .artefacts
                    .iter()
                    .map(|artefact| (artefact.name.clone(), artefact.path.clone()))
                    .collect();
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

    fn attempt_failed(&mut self, event: &AttemptFailed) {
        let (key, stopped) = self.end_attempt(&event.id);
        self.note_commit(&event.id, event.commit.as_ref());
        let Some(key) = key else { return };
        let failure = if stopped == Some(StopReason::Timeout) { timed_out() } else { event.failure.clone() };
        self.settle_unit(key, AttemptEnding::Failed, Some(failure));
    }

    fn attempt_lost(&mut self, event: &AttemptLost) {
        let (Some(key), _) = self.end_attempt(&event.id) else { return };
        if let Some(unit) = self.unit_mut(key) {
            unit.lost += 1;
        }
        let failure = Failure::new(FailureKind::Lost, event.reason.clone());
        self.settle_unit(key, AttemptEnding::Lost(event.fallback), Some(failure));
    }

    fn note_commit(&mut self, id: &AttemptId, commit: Option<&String>) {
        let Some(commit) = commit else { return };
        self.facts.commit = Some(commit.clone());
        if let Some(key) = self.current(id) {
            self.facts.steps[key.step].commit = Some(commit.clone());
        }
    }

    /// The unit's attempt ended; what follows is on the agenda.
    fn settle_unit(&mut self, key: Key, ending: AttemptEnding, failure: Option<Failure>) {
        if let Some(unit) = self.unit_mut(key) {
            unit.stage = Stage::Ended(ending);
            unit.failure = failure;
        }
        if key.item.is_none() {
            self.facts.steps[key.step].phase = Phase::Settling(Settling::Work);
        }
        self.settle_later(key);
    }

    /// Puts a unit on the agenda, unless its step is not gone on with any more.
    fn settle_later(&mut self, key: Key) {
        if self.is_live(key.step) {
            self.facts.agenda.insert(Agenda::Settle(key));
        }
    }

    fn end_item(&mut self, key: Key, stage: Stage) {
        let stops_others = self
            .graph
            .step(key.step)
            .foreach
            .as_ref()
            .is_some_and(|foreach| foreach.on_failure == OnItemFailure::Stop);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.unblock_key(key);
        let (Some(items), Some(item)) = (&mut self.facts.steps[key.step].items, key.item) else { return };
        let Some(unit) = items.units.get_mut(item as usize) else { return };
        if unit.stage.is_over() {
            return;
        }
        if stage == Stage::Failed {
            items.failed += 1;
            items.stopped |= stops_others;
        }
        unit.stage = stage;
        items.open -= 1;
        self.check_items(key.step);
        self.touch(key);
    }

    fn stop_requested(&mut self, ids: &[AttemptId], reason: StopReason) {
        for id in ids {
            if self.facts.stops.insert(id.clone(), reason).is_none() && reason == StopReason::Rework {
                self.facts.rework_stops += 1;
            }
            if let Some(key) = self.current(id) {
                self.facts.attempts.remove(&key);
                self.facts.held.remove(&key);
            }
            self.clear_timer(&TimerId { id: id.clone(), kind: TimerKind::Timeout, name: String::new() });
            self.touched.push(Touched::Path(id.path.clone()));
        }
    }

    fn retry_scheduled(&mut self, event: &RetryScheduled, now: Timestamp) {
        let Some(key) = self.key(&event.id.path) else { return };
        let version = self.facts.version;
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.unblock_key(key);
        if key.item.is_none() {
            self.facts.steps[key.step].phase = Phase::Working;
        }
        let Some(unit) = self.unit_mut(key) else { return };
        unit.attempt = event.id.attempt;
        unit.failure = None;
        if let Some(task) = &event.task {
            set_task(unit, task, version);
        }
        if event.at > now {
            unit.stage = Stage::RetryAt(event.at);
            self.set_timer(
                TimerId { id: event.id.clone(), kind: TimerKind::Retry, name: String::new() },
                event.at,
            );
            self.touch(key);
        } else {
            self.begin_attempt(key, now);
        }
    }

    fn step_succeeded(&mut self, event: &StepSucceeded, at: Timestamp) {
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

    fn step_skipped(&mut self, path: &StepPath, at: Timestamp) {
        let Some(key) = self.key(path) else { return };
        if key.item.is_some() {
            return self.end_item(key, Stage::Skipped);
        }
        self.facts.steps[key.step].output = Kept::Null;
        self.end_step(key.step, Phase::Skipped, at);
    }

    fn step_failed(&mut self, event: &StepFailed, at: Timestamp) {
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

    fn end_by_path(&mut self, path: &StepPath, phase: Phase, at: Timestamp) {
        if let Some(key) = self.key(path) {
            self.end_step(key.step, phase, at);
        }
    }

    fn end_step(&mut self, at: usize, phase: Phase, now: Timestamp) {
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
    fn clear_step(&mut self, at: usize) {
        let key = Key::step(at);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.agenda.remove(&Agenda::Judge(at));
        self.facts.agenda.remove(&Agenda::Ready(at));
        self.facts.agenda.remove(&Agenda::Items(at));
        self.facts.probing.remove(&at);
        self.facts.asking.remove(&at);
        self.clear_unit(key);
        let scheduled = self.facts.steps[at].items.as_ref().map_or(0, |items| items.units.len());
        for item in 0..u32::try_from(scheduled).unwrap_or(u32::MAX) {
            self.clear_unit(Key { step: at, item: Some(item) });
        }
    }

    fn clear_unit(&mut self, key: Key) {
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

    fn step_blocked(&mut self, event: &StepBlocked) {
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

    fn unblock_key(&mut self, key: Key) {
        if self.facts.blocked.remove(&key)
            && key.item.is_some()
            && let Some(items) = &mut self.facts.steps[key.step].items
        {
            items.blocked -= 1;
        }
    }

    fn open_gate(&mut self, at: usize, gate: usize) {
        let step = &mut self.facts.steps[at];
        let Some(next) = self.graph.step(at).gates.get(gate) else {
            step.judging = Judging { gate, ..Judging::default() };
            step.phase = Phase::Settling(Settling::GatesPassed);
            return self.settle_later(Key::step(at));
        };
        let probe_no = step.probes.get(&next.id).copied().unwrap_or(0);
        step.judging = Judging { gate, probe_no, ..Judging::default() };
        step.phase = Phase::Judging;
        if self.is_live(at) {
            self.facts.agenda.insert(Agenda::Judge(at));
        }
    }

    fn probe_scheduled(&mut self, event: &ProbeScheduled, at: Timestamp) {
        let Some(key) = self.current_gate(&event.id, &event.gate) else { return };
        let version = self.facts.version;
        self.facts.agenda.remove(&Agenda::Judge(key.step));
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.probing.insert(key.step);
        let step = &mut self.facts.steps[key.step];
        step.phase = Phase::Judging;
        step.note_probe(&event.gate, event.probe_no, at);
        step.judging.kind.clone_from(&event.kind);
        step.judging.task = Kept::of(&event.task, version);
        self.touch(key);
    }

    /// The step, if this is its current attempt and its current gate.
    fn current_gate(&self, id: &AttemptId, gate: &str) -> Option<Key> {
        let key = self.current(id)?;
        let step = &self.facts.steps[key.step];
        let is_judged = matches!(
            step.phase,
            Phase::Judging
                | Phase::Settling(Settling::GateOpen { .. } | Settling::GateFailed | Settling::Unblocked(..))
        );
        let current = self.graph.step(key.step).gates.get(step.judging.gate)?;
        (is_judged && current.id == gate).then_some(key)
    }

    fn gate_evaluated(&mut self, event: &GateEvaluated, at: Timestamp) {
        let Some(key) = self.current_gate(&event.id, &event.gate) else { return };
        let version = self.facts.version;
        self.facts.probing.remove(&key.step);
        self.facts.agenda.remove(&Agenda::Judge(key.step));
        self.facts.agenda.remove(&Agenda::Settle(key));
        let verdict = GateVerdict {
            gate: event.gate.clone(),
            probe_no: event.probe_no,
            verdict: event.verdict,
            reason: event.reason.clone(),
            evidence: Kept::of(&event.evidence, version),
            findings: event.findings.as_ref().map_or(Kept::Null, |findings| Kept::of(findings, version)),
            tolerated: event.tolerated,
        };
        let step = &mut self.facts.steps[key.step];
        if event.probe_no > step.judging.probe_no {
            // An expression was judged without a probe.
            step.note_probe(&event.gate, event.probe_no, at);
        }
        step.gates.retain(|former| former.gate != verdict.gate);
        step.gates.push(verdict);
        match event.verdict {
            Verdict::Pass | Verdict::Skipped => {
                self.open_gate(key.step, self.facts.steps[key.step].judging.gate + 1)
            }
            Verdict::Fail if event.tolerated => {
                self.open_gate(key.step, self.facts.steps[key.step].judging.gate + 1)
            }
            Verdict::Fail => {
                step.phase = Phase::Settling(Settling::GateFailed);
                self.settle_later(key);
            }
            Verdict::Pending => {
                step.phase = Phase::Settling(Settling::GateOpen { permanent: false });
                self.settle_later(key);
            }
        }
        self.touch(key);
    }

    fn probe_failed(&mut self, event: &ProbeFailed) {
        let Some(key) = self.current_gate(&event.id, &event.gate) else { return };
        self.facts.probing.remove(&key.step);
        self.facts.agenda.remove(&Agenda::Judge(key.step));
        self.facts.steps[key.step].phase = Phase::Settling(Settling::GateOpen { permanent: event.permanent });
        self.settle_later(key);
        self.touch(key);
    }

    fn rework_requested(&mut self, event: &ReworkRequested) {
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

    fn approval_requested(&mut self, event: &ApprovalRequested, at: Timestamp) {
        let Some(key) = self.current(&event.id) else { return };
        let show = Kept::of(&event.show, self.facts.version);
        self.facts.asking.insert(key.step);
        self.facts.steps[key.step].approval = Some(ApprovalState {
            title: event.title.clone(),
            show,
            terms: event.terms.clone(),
            asked_at: at,
            votes: BTreeMap::new(),
            decision: None,
        });
    }

    fn vote_cast(&mut self, event: &VoteCast, meta: &EventMeta) {
        let Some(key) = self.current(&event.id) else { return };
        let Some(approval) = &mut self.facts.steps[key.step].approval else { return };
        let vote = CastVote { vote: event.vote, comment: event.comment.clone(), at: meta.at };
        approval.votes.insert(meta.actor.to_string(), vote);
    }

    fn approval_decided(&mut self, event: &ApprovalDecided) {
        let Some(key) = self.current(&event.id) else { return };
        let Some(approval) = &mut self.facts.steps[key.step].approval else { return };
        approval.decision = Some(event.decision);
        let comments: Vec<Value> = approval
            .votes
            .iter()
            .filter_map(|(by, vote)| Some(serde_json::json!({"by": by, "text": vote.comment.as_ref()?})))
            .collect();
        let output = serde_json::json!({
            "decision": event.decision, "value": null, "edited": false,
            "by": event.by, "comment": event.comment, "comments": comments,
        });
        let step = &mut self.facts.steps[key.step];
        // Bounded by the quorum and by the limit of a comment, so it may stay in the state.
        step.output = Kept::Whole(output.into());
        self.facts.asking.remove(&key.step);
        if event.decision == Vote::Approve {
            self.open_gate(key.step, 0);
        } else {
            step.phase = Phase::Settling(Settling::Decided(event.decision));
            self.settle_later(key);
        }
    }

    fn timer_set(&mut self, timer: &TimerId, at: Timestamp) {
        let Some(key) = self.current(&timer.id) else { return };
        if timer.kind == TimerKind::Poll {
            self.facts.agenda.remove(&Agenda::Settle(key));
            self.facts.steps[key.step].phase = Phase::Judging;
        }
        self.set_timer(timer.clone(), at);
        self.touch(key);
    }

    fn timer_fired(&mut self, timer: &TimerId, at: Timestamp) {
        if !self.facts.timers.contains_key(timer) {
            return;
        }
        self.clear_timer(timer);
        self.touched.push(Touched::Path(timer.id.path.clone()));
        let Some(key) = self.current(&timer.id) else { return };
        match timer.kind {
            TimerKind::Retry => self.begin_attempt(key, at),
            TimerKind::Wait => {
                self.facts.steps[key.step].unit.stage = Stage::Ended(AttemptEnding::Succeeded);
                self.open_gate(key.step, 0);
            }
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
            TimerKind::Timeout => {}
        }
    }

    fn set_paused(&mut self, paused: bool) {
        self.facts.paused = paused;
        self.touch_waiting();
    }

    fn run_unblocked(&mut self, unblocked: &Unblocked) {
        let Some(key) = self.key(&unblocked.path) else { return };
        let version = self.facts.version;
        let output = unblocked.output.as_ref().map_or(Kept::Null, |output| Kept::of(output, version));
        self.unblock_key(key);
        if key.item.is_some() {
            if let Some(unit) = self.unit_mut(key) {
                unit.stage = Stage::Unblocked(unblocked.decision);
                if unblocked.decision == UnblockDecision::Proceed {
                    unit.output = output;
                }
            }
            return self.settle_later(key);
        }
        let step = &mut self.facts.steps[key.step];
        let reason = match std::mem::take(&mut step.phase) {
            Phase::Blocked(reason) => reason,
            // Only a blocked step is unblocked; a history that says otherwise keeps its step as it is.
            other => {
                step.phase = other;
                return;
            }
        };
        match unblocked.decision {
            UnblockDecision::Recheck => {
                step.gates.clear();
                self.open_gate(key.step, 0);
            }
            decision => {
                // A probe that is asked for by a person gets all its polls again.
                (step.judging.polls, step.judging.since) = (0, None);
                if decision == UnblockDecision::Proceed && output != Kept::Null {
                    step.output = output;
                }
                step.phase = Phase::Settling(Settling::Unblocked(decision, reason));
                self.settle_later(key);
            }
        }
        self.touch(key);
    }

    fn set_outcome(&mut self, outcome: Outcome) {
        if self.facts.outcome.is_none() {
            self.facts.outcome = Some(outcome);
            // Nothing of the main graph is gone on with, so it need not be looked at again.
            let main_len = self.graph.main_len();
            self.facts.agenda.retain(|item| match item {
                Agenda::Settle(key) => key.step >= main_len,
                Agenda::Judge(at) | Agenda::Ready(at) | Agenda::Items(at) => *at >= main_len,
                Agenda::End => true,
            });
            self.touch_waiting();
        }
        self.facts.agenda.insert(Agenda::End);
    }

    fn end_run(
        &mut self,
        status: FinishStatus,
        path: Option<StepPath>,
        failure: Option<Failure>,
        output: Kept,
        at: Timestamp,
    ) {
        self.facts.ended = Some(Ended { status, at, failure, path, output });
        self.facts.agenda.clear();
    }

    pub(super) fn unit_mut(&mut self, key: Key) -> Option<&mut Unit> {
        let step = self.facts.steps.get_mut(key.step)?;
        match key.item {
            None => Some(&mut step.unit),
            Some(item) => step.items.as_mut()?.units.get_mut(item as usize),
        }
    }

    fn touch(&mut self, key: Key) {
        self.touched.push(Touched::Path(self.path(key)));
    }

    /// Something that holds back new work changed: look at everything that waits.
    fn touch_waiting(&mut self) {
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

    fn set_timer(&mut self, timer: TimerId, at: Timestamp) {
        self.due.insert((at, timer.clone()));
        self.facts.timers.insert(timer, at);
    }

    fn clear_timer(&mut self, timer: &TimerId) {
        if let Some(at) = self.facts.timers.remove(timer) {
            self.due.remove(&(at, timer.clone()));
        }
    }
}

fn set_task(unit: &mut Unit, task: &ScheduledTask, version: crate::id::Version) {
    unit.kind.clone_from(&task.kind);
    unit.task = Kept::of(&task.task, version);
    unit.timeout_ms = task.timeout_ms;
    unit.grace_ms = task.grace_ms;
}

fn timed_out() -> Failure {
    Failure { exit_code: Some(124), ..Failure::new(FailureKind::Timeout, "the time limit passed") }
}
