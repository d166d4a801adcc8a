//! A round, or an item of one, ends before its time: its deadline passed, or a person cancelled it.
//!
//! Law: what executes is stopped first; the failure follows when all of it has ended.

use crate::event::{StepCancelRequested, TimerId, TimerKind};
use crate::state::control::Cut;
use crate::state::step::{AttemptEnding, Phase, Settling, Stage};
use crate::state::{EventMeta, Key, RunState};

impl RunState {
    pub(super) fn step_cancel_requested(&mut self, event: &StepCancelRequested, meta: &EventMeta) {
        let Some(key) = self.key(&event.path) else { return };
        let cut = Cut::Cancelled { by: meta.actor.to_string(), reason: event.reason.clone() };
        match key.item {
            None => self.cut_step(key.step, cut),
            Some(_) => self.cut_item(key, cut),
        }
    }

    pub(super) fn deadline_passed(&mut self, timer: &TimerId) {
        let Some(key) = self.key(&timer.id.path) else { return };
        if self.facts.steps[key.step].round == timer.id.round && self.is_active(key.step) {
            self.cut_step(key.step, Cut::Deadline);
        }
    }

    fn cut_step(&mut self, at: usize, cut: Cut) {
        let step = &self.facts.steps[at];
        if step.order.cut.is_some() && !matches!(step.phase, Phase::Blocked(_)) {
            return;
        }
        self.quiet_step(at, true);
        self.facts.steps[at].order.cut = Some(cut);
        self.facts.steps[at].phase = Phase::Working;
        self.check_cut(at);
    }

    fn cut_item(&mut self, key: Key, cut: Cut) {
        self.unblock_key(key);
        self.end_asking(key);
        self.facts.order.waiting.remove(&key);
        let path = self.path(key);
        let timers: Vec<TimerId> = self.timers_of(&path).map(|(timer, _)| timer.clone()).collect();
        timers
            .iter()
            .filter(|timer| timer.kind != TimerKind::Timeout)
            .for_each(|timer| self.clear_timer(timer));
        let Some(unit) = self.unit_mut(key) else { return };
        unit.cut = Some(cut);
        if !unit.stage.is_in_flight() {
            self.item_is_cut(key);
        }
        self.touch(key);
    }

    /// An attempt ended whose round, or item, is being ended before its time: true if so.
    pub(super) fn ended_by_cut(&mut self, key: Key) -> bool {
        if self.facts.steps[key.step].order.cut.is_some() {
            if let Some(unit) = self.unit_mut(key) {
                unit.stage = Stage::Ended(AttemptEnding::Failed);
            }
            self.check_cut(key.step);
            return true;
        }
        if self.unit_at(key).is_some_and(|unit| unit.cut.is_some()) {
            self.item_is_cut(key);
            return true;
        }
        false
    }

    fn item_is_cut(&mut self, key: Key) {
        let Some(unit) = self.unit_mut(key) else { return };
        unit.stage = Stage::Ended(AttemptEnding::Failed);
        unit.failure = unit.cut.as_ref().map(Cut::failure);
        self.settle_later(key);
    }

    fn check_cut(&mut self, at: usize) {
        if !self.is_executing(at) {
            self.facts.steps[at].phase = Phase::Settling(Settling::Cut);
            self.settle_later(Key::step(at));
        }
    }
}
