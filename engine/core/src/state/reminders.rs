//! How often people were reminded of each thing that waits for them.
//!
//! Law: the counts follow from the recorded timers: each one that fired is a reminder. They end with the thing that
//! waits, and begin anew with the next one. A copied run begins with none.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::spend::budget_place;
use crate::event::{ReminderOf, TimerId, TimerKind};
use everfold_base::id::{Attempt, AttemptId, Round, StepPath};

/// What is remembered of reminders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReminderFacts {
    /// How often they came, of each thing whose reminders began.
    begun: BTreeMap<TimerId, u32>,
    /// What is blocked, and is to have its first reminder.
    unset: BTreeSet<Key>,
}

impl ReminderFacts {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the reminders of a thing have begun, though they may be used up.
    pub(crate) fn has_begun(&self, timer: &TimerId) -> bool {
        self.begun.contains_key(timer)
    }

    pub(crate) fn count(&self, timer: &TimerId) -> u32 {
        self.begun.get(timer).copied().unwrap_or_default()
    }

    /// What is blocked, and has no reminder yet.
    pub(crate) fn unset(&self) -> impl Iterator<Item = Key> + '_ {
        self.unset.iter().copied()
    }

    pub(super) fn owe(&mut self, key: Key) {
        self.unset.insert(key);
    }

    pub(super) fn owe_no_more(&mut self, key: Key) {
        self.unset.remove(&key);
    }

    /// Steps have other numbers.
    pub(super) fn renumber(&mut self, place: impl Fn(Key) -> Option<Key>) {
        self.unset = self.unset.iter().filter_map(|key| place(*key)).collect();
    }

    pub(super) fn begin(&mut self, timer: &TimerId) {
        self.begun.entry(timer.clone()).or_default();
    }

    pub(super) fn remind(&mut self, timer: &TimerId) {
        let count = self.begun.entry(timer.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// Forgets those of a step or item: all of them, or those of one name.
    pub(super) fn forget(&mut self, path: &StepPath, name: Option<&str>) {
        if self.begun.is_empty() {
            return;
        }
        let gone: Vec<TimerId> =
            self.of(path).filter(|timer| name.is_none_or(|name| timer.name == name)).collect();
        for timer in gone {
            self.begun.remove(&timer);
        }
    }

    /// The timers of reminders that began at one place.
    pub(super) fn of(&self, path: &StepPath) -> impl Iterator<Item = TimerId> {
        let id = AttemptId { path: path.clone(), round: Round::ZERO, attempt: Attempt::ZERO };
        let first = TimerId { id, kind: TimerKind::Retry, name: String::new() };
        let all = self.begun.range(first..).map(|(timer, _)| timer);
        all.take_while(|timer| timer.id.path == *path).cloned().collect::<Vec<_>>().into_iter()
    }

    /// The history goes on as another run's: nothing was reminded of there.
    pub(super) fn go_on(&mut self) {
        *self = Self::default();
    }
}

/// The timer that reminds of what an attempt waits for.
pub(crate) fn timer_of(id: AttemptId, of: ReminderOf<'_>) -> TimerId {
    TimerId { id, kind: TimerKind::Reminder, name: of.name().to_owned() }
}

/// The timer that reminds of a budget.
pub(crate) fn timer_of_budget(budget: &str) -> TimerId {
    timer_of(budget_place(), ReminderOf::Budget(budget))
}
