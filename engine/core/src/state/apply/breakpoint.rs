//! A run is paused: a pause of its own, a breakpoint, a pause that it shares with others.

use std::time::Duration;

use crate::event::{BreakpointHit, BreakpointsSet, HaltScope, TimerKind};
use crate::state::control::{Pause, PausedBy};
use crate::state::{EventMeta, RunState};
use everfold_base::time::Timestamp;

impl RunState {
    pub(super) fn breakpoints_set(&mut self, event: &BreakpointsSet) {
        self.facts.order.breakpoints = event.steps.iter().filter_map(|step| self.graph.find(step)).collect();
    }

    pub(super) fn breakpoint_hit(&mut self, event: &BreakpointHit, meta: &EventMeta) {
        let Some(key) = self.key(&event.path) else { return };
        self.facts.order.hit.insert(key.step);
        let by = PausedBy::Breakpoint(event.path.step.clone());
        self.facts.order.pause = Some(Pause { by, reason: None, since: meta.at });
        self.check_pause();
    }

    pub(super) fn run_paused(&mut self, reason: Option<&String>, meta: &EventMeta) {
        let by = PausedBy::Actor(meta.actor.to_string());
        self.facts.order.pause = Some(Pause { by, reason: reason.cloned(), since: meta.at });
        self.check_pause();
    }

    pub(super) fn run_resumed(&mut self) {
        self.facts.order.pause = None;
        let hit = std::mem::take(&mut self.facts.order.hit);
        self.facts.order.passed.extend(hit);
        self.check_pause();
    }

    pub(super) fn run_halted(&mut self, scope: &HaltScope, reason: Option<&String>, at: Timestamp) {
        let pause = Pause { by: PausedBy::Halt(scope.clone()), reason: reason.cloned(), since: at };
        self.facts.order.halts.insert(scope.clone(), pause);
        self.check_pause();
    }

    pub(super) fn run_released(&mut self, scope: &HaltScope) {
        self.facts.order.halts.remove(scope);
        self.check_pause();
    }

    /// What ends the run must not wait for a person or a release.
    pub(super) fn end_pauses(&mut self) {
        self.facts.order.pause = None;
        self.facts.order.halts.clear();
        self.check_pause();
    }

    /// A copied history goes on at once, also where its origin was paused; its deadlines were paused since
    /// the moment that was copied.
    pub(super) fn forget_pauses(&mut self, copied_at: Timestamp, now: Timestamp) {
        let order = &mut self.facts.order;
        order.pause = None;
        order.halts.clear();
        order.hit.clear();
        let since = order.still_since.take().unwrap_or(copied_at);
        self.facts.paused = false;
        self.put_off_deadlines(now.since(since));
    }

    fn check_pause(&mut self) {
        let now = self.now();
        let order = &mut self.facts.order;
        let paused = order.pause.is_some() || !order.halts.is_empty();
        if paused == self.facts.paused {
            return;
        }
        self.facts.paused = paused;
        if paused {
            self.facts.order.still_since = Some(now);
        } else if let Some(since) = self.facts.order.still_since.take() {
            self.put_off_deadlines(now.since(since));
        }
        self.touch_waiting();
    }

    /// Deadlines do not run while the run is paused: the time that was left is left now.
    fn put_off_deadlines(&mut self, span: Duration) {
        let timers = self.facts.timers.iter().filter(|(timer, _)| timer.kind == TimerKind::Deadline);
        let later: Vec<_> = timers.map(|(timer, at)| (timer.clone(), at.plus(span))).collect();
        for (timer, at) in later {
            self.clear_timer(&timer);
            self.set_timer(timer, at);
        }
    }
}
