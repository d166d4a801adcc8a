//! A copied history becomes another run's own.

use std::collections::BTreeSet;

use crate::event::{OriginKind, RunForked, TimerKind};
use crate::state::agenda::Agenda;
use crate::state::executor_facts::EdgeFacts;
use crate::state::slot_demand::Queue;
use crate::state::spend::budget_place;
use crate::state::step::{LateProbes, Phase, Stage, Unit};
use crate::state::stored_value::StoredValue;
use crate::state::worker_holds::WorkerHolds;
use crate::state::{EventMeta, Forked, Key, RunState, UsageTotal};
use everfold_base::actor::Actor;
use everfold_base::id::{Attempt, Round};
use everfold_base::time::Timestamp;
use everfold_language::definition::{Definition, Graph, Step, Work};
use everfold_language::expr::Template;

impl RunState {
    pub(super) fn run_forked(&mut self, event: &RunForked, meta: &EventMeta, copied_at: Timestamp) {
        self.forget_notices();
        let mut children = self.started_runs();
        // A step that begins anew counts its attempts anew.
        children.retain(|path, _| !event.reset.contains(&path.step));
        for step in &event.reset {
            match self.graph.find(step).filter(|_| event.keeps_items.contains(step)) {
                Some(at) => self.keep_items(at),
                None => self.facts.kept.forget(step),
            }
        }
        let named = self.next.take().filter(|(hash, _)| *hash == event.definition).map(|(_, next)| next);
        let is_other = |next: &Graph| next.definition.hash() != self.graph.definition.hash();
        if let Some(next) = named.filter(is_other) {
            self.change_definition(next, &event.reset, counts_on(event));
        }
        self.note_ancestry(event);
        let version = self.facts.version;
        let workspace = self.facts.workspace.take();
        let commit = self.facts.commit.clone();
        let (root, inherited) = (self.root(), self.inherited(workspace.as_ref()));
        if let Some(started) = &mut self.facts.started {
            started.run = event.run;
            started.definition = event.definition;
            started.title = event.title.clone().or(started.title.take());
            started.entropy = event.entropy;
            started.at = meta.at;
            started.by = meta.actor.clone();
            started.parent = None;
            let former = started.forked.take().and_then(|forked| forked.branch);
            let branch = workspace.and_then(|workspace| workspace.branch).or(former);
            started.forked = Some(Forked { origin: event.origin.clone(), commit, branch });
        }
        self.facts.top = None;
        // Who copies a history, or is behind the step that does, is behind what follows.
        self.facts.initiator.clone_from(&event.initiator);
        self.facts.input = StoredValue::inline(&event.input, version);
        self.facts.config =
            event.config.as_ref().map_or(StoredValue::Null, |config| StoredValue::inline(config, version));
        // What the origin held, was sent and used up stays with the origin.
        self.facts.queue = Queue::default();
        self.facts.usage = UsageTotal::default();
        self.forget_spend();
        let reworks = if event.origin.how == OriginKind::Fork { self.facts.edge.reworks } else { 0 };
        let (sessions, roles) = self.carried_sessions();
        self.facts.edge = EdgeFacts::of_fork(root, inherited);
        (self.facts.edge.sessions, self.facts.edge.roles) = (sessions, roles);
        self.facts.edge.reworks = reworks;
        let graph = self.graph.clone();
        self.facts.interrupts.fork(&event.reset, |path| {
            graph.find(&path.step).is_some_and(|at| graph.continued().carried[at])
        });
        self.facts.account.go_on(&event.reset, event.origin.how == OriginKind::Fork);
        self.facts.effects.begin(event.effects, children);
        self.facts.progress.clear();
        self.facts.workers = WorkerHolds::default();
        self.end_reminders(&budget_place().path, None);
        self.facts.reminders.go_on();
        self.facts.inputs.clear();
        self.facts.late = LateProbes::default();
        // The taker of the signal is not known.
        self.facts.order.newest = None;
        let continued_at = event.continued_at.unwrap_or(copied_at);
        self.forget_pauses(continued_at, meta.at);
        self.reset_forked(event);
        self.mend_forked();
        for key in self.facts.blocked.clone() {
            self.owe_reminder(key);
        }
        self.owe_workspace();
        self.render_anew();
        if event.keeps_spans {
            self.put_off_spans(meta.at.since(continued_at));
        }
        self.go_on_forked(meta, event.keeps_tries);
        let put_off: Vec<usize> =
            self.facts.order.deferred.keys().map(|(place, _)| place.unwrap_or_default()).collect();
        for at in put_off {
            self.take_up_deferred(at);
        }
    }

    /// The run becomes another one; what it was is still there, but for the definition.
    fn note_ancestry(&mut self, event: &RunForked) {
        if !asks_for_ancestry(&self.graph.definition) {
            return;
        }
        let authors: BTreeSet<Actor> = self.starters().cloned().collect();
        let config = event.config.as_ref();
        let is_same = self.facts.input.is(Some(&event.input))
            && self.facts.config.is(config)
            && self.facts.started.as_ref().is_some_and(|started| started.definition == event.definition);
        let ancestry = &mut self.facts.ancestry;
        ancestry.authors = authors;
        ancestry.is_changed |= !is_same;
    }

    /// A step is as if it had never run, but for the number of its rounds where that counts on.
    pub(super) fn forget_step(&mut self, at: usize, counts_on: bool) {
        self.clear_step(at);
        let former = std::mem::take(&mut self.facts.steps[at]);
        if counts_on {
            (self.facts.steps[at].round, self.facts.steps[at].rounds_run) = (former.round, former.rounds_run);
        }
    }

    /// Steps that begin anew do so as if they had never run.
    fn reset_forked(&mut self, event: &RunForked) {
        if event.origin.how != OriginKind::Fork {
            self.facts.routes.clear();
            self.facts.outcome = None;
            self.facts.ended = None;
            self.facts.cancels = 0;
            self.facts.cancelling = None;
            self.facts.agenda.remove(&Agenda::End);
        }
        let reset: Vec<usize> = event.reset.iter().filter_map(|step| self.graph.find(step)).collect();
        for at in &reset {
            self.forget_step(*at, counts_on(event));
        }
        self.facts.order.deferred.retain(|(place, _), _| place.is_none_or(|at| !reset.contains(&at)));
        self.facts.order.passed.retain(|at| !reset.contains(at));
        reset.iter().for_each(|at| self.count_needs(*at));
        if let Some(from) = event.from_step.as_ref().and_then(|step| self.graph.find(step)) {
            self.facts.steps[from].named = true;
        }
        let main = &self.facts.steps[..self.graph.main_len()];
        self.facts.unended = main.iter().filter(|step| !step.phase.is_ended()).count();
        for at in reset {
            self.check_ready(at);
        }
        if self.facts.unended == 0 && self.facts.ended.is_none() {
            self.facts.agenda.insert(Agenda::End);
        }
    }

    /// A copy may end in the middle of what one input led to. A round, or an item, whose first event is the
    /// last one that was copied has not begun; questions to people are asked anew, by the roles of this run.
    fn mend_forked(&mut self) {
        self.facts.seen.forget_votes();
        for key in self.facts.asking.clone() {
            let people = self.unit_mut(key).and_then(|unit| unit.people.as_mut());
            if let Some(people) = people {
                if let Some(approval) = &mut people.approval {
                    approval.votes.clear();
                    (approval.edited, approval.edits) = (None, 0);
                }
                if let Some(question) = &mut people.question {
                    (question.draft, question.saved) = (StoredValue::Null, None);
                }
            }
        }
        for at in 0..self.facts.steps.len() {
            if self.facts.steps[at].phase == Phase::Working {
                self.mend_step(at);
            }
        }
    }

    fn mend_step(&mut self, at: usize) {
        let newest = self.facts.steps[at].items.as_ref().map(|items| items.units.len());
        let item = newest.map(|count| u32::try_from(count).unwrap_or(u32::MAX).checked_sub(1));
        let is_cut_short = match item {
            _ if self.facts.steps[at].order.cut.is_some() => false,
            None => self.is_cut_short(Key::step(at)) || self.lacks_deadline(at),
            Some(None) => self.lacks_deadline(at),
            Some(Some(item)) => self.is_cut_short(Key { step: at, item: Some(item) }),
        };
        if !is_cut_short {
            return;
        }
        if let Some(Some(item)) = item {
            self.clear_unit(Key { step: at, item: Some(item) });
            if let Some(items) = &mut self.facts.steps[at].items {
                items.units.pop();
                items.open = items.open.saturating_sub(1);
            }
            return self.check_items(at);
        }
        self.unbegin(at);
    }

    /// What was rendered with the workspace of the origin is rendered with the run's own: an open gate is asked
    /// anew, and a round whose work names the workspace begins anew.
    fn render_anew(&mut self) {
        if !self.owes_workspace() {
            return;
        }
        for at in std::mem::take(&mut self.facts.probing) {
            let judging = &mut self.facts.steps[at].judging;
            judging.probe_no = judging.probe_no.saturating_sub(1);
            // The probe that is asked anew was counted when the origin scheduled it.
            judging.uncounted = true;
            self.facts.agenda.insert(Agenda::Judge(at));
            self.touch(Key::step(at));
        }
        for at in 0..self.facts.steps.len() {
            let step = &self.facts.steps[at];
            let is_open = step.unit.stage.is_in_flight() || self.facts.asking.contains(&Key::step(at));
            if step.phase == Phase::Working
                && is_open
                && step.items.is_none()
                && step.order.cut.is_none()
                && step.unit.answers().is_empty()
                && names_workspace(self.graph.step(at))
            {
                let has_looked =
                    self.facts.asking.contains(&Key::step(at)) && shows_bytes(self.graph.step(at));
                let has_ended = has_looked || step.unit.attempt > Attempt(1);
                self.unbegin(at);
                if has_ended {
                    // The numbers of attempts that ended in the origin are not used again.
                    let step = &mut self.facts.steps[at];
                    step.round = Round(step.round.0 + 1);
                }
            }
        }
    }

    /// The round of a step has not begun: it does when the step is ready.
    fn unbegin(&mut self, at: usize) {
        self.clear_step(at);
        let step = &mut self.facts.steps[at];
        step.phase = Phase::Pending;
        step.round = Round(step.round.0.saturating_sub(1));
        step.rounds_run = step.rounds_run.saturating_sub(1);
        step.named = self.graph.step(at).standby;
        step.unit = Unit::default();
        step.items = None;
        self.check_ready(at);
    }

    /// Whether a unit was scheduled, and nothing says yet what it waits for.
    fn is_cut_short(&self, key: Key) -> bool {
        let path = self.path(key);
        let is_timed = self.timers_of(&path).any(|(timer, _)| timer.kind != TimerKind::Deadline);
        let is_stopped = self.facts.stops.keys().any(|id| id.path == path);
        let is_idle = self.unit_at(key).is_some_and(|unit| unit.stage == Stage::Idle && unit.cut.is_none());
        let waits = self.facts.order.waiting.contains(&key) && !self.may_have_missed(key.step);
        is_idle && !is_timed && !is_stopped && !waits && !self.facts.asking.contains(&key)
    }

    /// Whether a wait for a signal, without a limit so far, is to have one or may have its signal.
    fn may_have_missed(&self, at: usize) -> bool {
        let Some(Work::Wait(wait)) = &self.graph.step(at).work else { return false };
        let is_kept = |name: &String| self.facts.order.kept.iter().any(|heard| heard.name == *name);
        wait.timeout.is_some() || wait.signal.as_ref().is_some_and(is_kept)
    }

    /// Whether a round has just begun that is to have a deadline, and that is not set.
    fn lacks_deadline(&self, at: usize) -> bool {
        let wants = self.graph.step(at).deadline.is_some() || self.graph.is_finish(at);
        let step = &self.facts.steps[at];
        let is_new = match &step.items {
            Some(items) => items.units.is_empty(),
            None => step.unit.attempt <= Attempt(1),
        };
        let path = self.path(Key::step(at));
        wants && is_new && !self.timers_of(&path).any(|(timer, _)| timer.kind == TimerKind::Deadline)
    }

    /// What was in progress is the origin's: here it is the next attempt, and not a further try where those are kept.
    fn go_on_forked(&mut self, meta: &EventMeta, keeps_tries: bool) {
        let stopped: Vec<Key> = self.facts.stops.keys().filter_map(|id| self.current(id)).collect();
        let is_in_flight = |key: &Key| self.unit_at(*key).is_some_and(|unit| unit.stage.is_in_flight());
        let mut open: Vec<Key> =
            self.facts.attempts.iter().copied().chain(stopped).filter(is_in_flight).collect();
        open.sort_unstable();
        open.dedup();
        let stops = std::mem::take(&mut self.facts.stops);
        self.facts.rework_stops = 0;
        let held = std::mem::take(&mut self.facts.held);
        for id in stops.into_keys() {
            self.touched.push(crate::effect::Touched::Path(id.path));
        }
        held.into_iter().for_each(|key| self.touch(key));
        let limits: Vec<_> =
            self.facts.timers.keys().filter(|timer| timer.kind == TimerKind::Timeout).cloned().collect();
        for timer in limits {
            self.clear_timer(&timer);
            self.touched.push(crate::effect::Touched::Path(timer.id.path));
        }
        for key in open {
            self.facts.attempts.remove(&key);
            let goes_on = self.facts.steps[key.step].phase == Phase::Working;
            let Some(unit) = self.unit_mut(key) else { continue };
            if !goes_on {
                // It was stopped, and its step went on without it.
                unit.stage = Stage::Idle;
            } else if !self.ended_by_cut(key)
                && let Some(unit) = self.unit_mut(key)
            {
                unit.attempt = unit.attempt.next();
                unit.tries_before += u32::from(keeps_tries);
                self.begin_attempt(key, meta.at);
            }
        }
        self.touch_waiting();
    }
}

/// Whether the rounds of steps that begin anew are counted on.
fn counts_on(event: &RunForked) -> bool {
    event.origin.how == OriginKind::Handover
}

/// Whether what an approval shows is looked for in the workspace, by an attempt of its own.
fn shows_bytes(step: &Step) -> bool {
    matches!(&step.work, Some(Work::Approval(approval)) if approval.may_show_bytes())
}

/// Whether what the work of a step is given names the workspace.
fn names_workspace(step: &Step) -> bool {
    let names = |template: &Template| {
        template.references().iter().any(|reference| reference.path().first() == Some(&"workspace"))
    };
    match &step.work {
        Some(Work::Task(task)) => {
            names(&task.spec)
                || step.env.values().any(names)
                || step.outputs.files.values().any(|file| names(&file.file))
        }
        Some(Work::Approval(approval)) => {
            // What was found in the origin's workspace is looked for in the run's own.
            names(&approval.title) || approval.may_show_bytes() || approval.edit.iter().any(names)
        }
        Some(Work::Question(_) | Work::Wait(_)) | None => false,
    }
}

/// Whether something asks for what a run goes on from.
fn asks_for_ancestry(definition: &Definition) -> bool {
    let wants = |step: &Step| {
        !step.approved.is_empty()
            || matches!(&step.work, Some(Work::Approval(approval)) if !approval.self_approval)
    };
    definition.steps.iter().chain(&definition.on_finish).any(wants)
}
