//! Reminders begin with what waits, are counted, and end with it ([`crate::state::reminders`]).

use crate::effect::Touched;
use crate::event::{ReminderOf, TimerId, TimerKind};
use crate::state::reminders::ReminderFacts;
use crate::state::spend::budget_place;
use crate::state::{Key, RunState};
use everfold_base::id::StepPath;

impl RunState {
    /// A reminder is set: what it is about has its reminders from here on.
    pub(super) fn reminder_set(&mut self, timer: &TimerId) {
        let Some(of) = timer.reminds_of() else { return };
        if of == ReminderOf::Blocked
            && let Some(key) = self.key(&timer.id.path)
        {
            self.facts.reminders.owe_no_more(key);
        }
        if matches!(of, ReminderOf::Budget(_)) || self.current(&timer.id).is_some() {
            self.facts.reminders.begin(timer);
        }
    }

    /// Something is blocked: where its step says so, people are to be reminded.
    pub(super) fn owe_reminder(&mut self, key: Key) {
        if self.graph.step(key.step).remind.is_some() {
            self.facts.reminders.owe(key);
        }
    }

    /// What was blocked is so no more.
    pub(super) fn end_blocked_reminders(&mut self, key: Key) {
        self.facts.reminders.owe_no_more(key);
        self.end_reminders(&self.path(key), Some(ReminderOf::Blocked.name()));
    }

    /// A signal is awaited no more.
    pub(super) fn end_signal_reminders(&mut self, key: Key) {
        self.end_reminders(&self.path(key), Some(ReminderOf::Signal.name()));
    }

    pub(super) fn end_reminders(&mut self, path: &StepPath, name: Option<&str>) {
        let is_meant =
            |timer: &TimerId| timer.kind == TimerKind::Reminder && name.is_none_or(|name| timer.name == name);
        let set = self.timers_of(path).map(|(timer, _)| timer).filter(|timer| is_meant(timer));
        let set: Vec<TimerId> = set.cloned().collect();
        set.iter().for_each(|timer| self.clear_timer(timer));
        self.facts.reminders.forget(path, name);
        self.touched.push(Touched::Path(path.clone()));
    }

    /// The run is about to end: nothing that waits is asked for any more.
    pub(super) fn end_all_reminders(&mut self) {
        self.facts.reminders = ReminderFacts::default();
        let set = self.facts.timers.keys().filter(|timer| timer.kind == TimerKind::Reminder);
        let set: Vec<TimerId> = set.cloned().collect();
        for timer in set {
            self.clear_timer(&timer);
            self.touched.push(Touched::Path(timer.id.path));
        }
    }

    /// Budgets that hold the run no more remind no more.
    pub(super) fn settle_budget_reminders(&mut self) {
        if self.facts.reminders.is_empty() {
            return;
        }
        let place = budget_place().path;
        let spend = &self.facts.spend;
        let holds = |timer: &TimerId| {
            !spend.held.is_empty()
                && spend.budgets.iter().any(|it| it.terms.id == timer.name && it.over.is_some())
        };
        let over: Vec<TimerId> = self.facts.reminders.of(&place).filter(|timer| !holds(timer)).collect();
        for timer in over {
            self.end_reminders(&place, Some(&timer.name));
        }
    }
}
