//! Reminders of what waits for people: when the first is set, and what follows each.
//!
//! Law: what reminds is a timer, so a reminder is recorded once, whatever ends the engine between its two facts. After
//! downtime people are reminded once, and the next one counts from then.

use std::time::Duration;

use super::draft::Draft;
use crate::event::{ReminderOf, TimerId, TimerSet};
use crate::state::reminders::timer_of;

/// The first reminder of what just began to wait.
pub(super) fn begin(draft: &mut Draft<'_>, timer: TimerId, first: Option<Duration>) {
    if let Some(first) = first {
        draft.record(TimerSet { timer, at: draft.now().plus(first) });
    }
}

/// A reminder is due: the next one follows where there is one, and fewer came than there may be.
pub(super) fn go_on(draft: &mut Draft<'_>, timer: &TimerId) {
    let state = &*draft.state;
    let Some(terms) = state.reminders_of(timer).filter(|_| !state.is_ending()) else { return };
    let count = state.facts.reminders.count(timer);
    if let Some(every) = terms.every.filter(|_| count < terms.max) {
        // From now, not from when it was due: after downtime people are reminded once.
        draft.record(TimerSet { timer: timer.clone(), at: draft.now().plus(every) });
    }
}

/// Sets the first reminder of all that is blocked, and of the budgets that hold the run. What has no room in the batch
/// follows with the next.
pub(super) fn tend(draft: &mut Draft<'_>) {
    if draft.state.is_ending() {
        return;
    }
    let state = &*draft.state;
    let blocked =
        state.facts.reminders.unset().map(|key| timer_of(state.attempt_id(key), ReminderOf::Blocked));
    set(draft, blocked.collect());
    let budgets = draft.state.unreminded_budgets();
    set(draft, budgets);
}

/// A copied run reminds of what it waits for from its own beginning on.
pub(super) fn begin_anew(draft: &mut Draft<'_>) {
    if !draft.state.is_ending() {
        let timers = draft.state.reminder_timers();
        set(draft, timers);
    }
}

fn set(draft: &mut Draft<'_>, timers: Vec<TimerId>) {
    for timer in timers {
        if draft.is_full() {
            return;
        }
        let first = draft.state.reminders_of(&timer).and_then(|terms| terms.first);
        begin(draft, timer, first);
    }
}
