//! When people are reminded of what a run waits for, and how often they were ([`super::reminders`]).

use std::time::Duration;

use super::awaited::Awaited;
use super::key::Key;
use super::reminders::{timer_of, timer_of_budget};
use super::run_state::RunState;
use crate::event::{ReminderOf, TimerId};
use everfold_base::id::StepPath;
use everfold_base::time::Timestamp;
use everfold_language::definition::{REMINDERS_DEFAULT, Reminders, Setting, Span, Work};

/// How often people were reminded of something, and what is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reminded {
    /// How often so far.
    pub count: u32,
    /// How often at most.
    pub max: u32,
    /// When the next one is due; `None`: there is none.
    pub next: Option<Timestamp>,
}

/// When reminders of one thing come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReminderTerms {
    pub(crate) first: Option<Duration>,
    pub(crate) every: Option<Duration>,
    pub(crate) max: u32,
}

impl ReminderTerms {
    fn fixed(remind: &Reminders<Span>) -> Self {
        let span = |span: Option<&Span>| span.map(|span| span.0);
        Self { first: span(remind.before_first()), every: span(remind.every.as_ref()), max: remind.bound() }
    }

    /// Of a request to people; what is computed was recorded with it.
    fn of_people(remind: Option<&Reminders<Setting<Span>>>, every: Option<Duration>) -> Self {
        let first = remind.and_then(|remind| match remind.first {
            Some(Setting::Fixed(span)) => Some(span.0),
            Some(Setting::Computed(_)) | None => None,
        });
        let max = remind.map_or(REMINDERS_DEFAULT, Reminders::bound);
        Self { first: first.or(every), every, max }
    }
}

impl RunState {
    /// When people are reminded of that for which a timer stands; `None`: never.
    pub(crate) fn reminders_of(&self, timer: &TimerId) -> Option<ReminderTerms> {
        let of = timer.reminds_of()?;
        if let ReminderOf::Budget(name) = of {
            let budget = self.graph.definition.budgets.iter().find(|budget| budget.id == name)?;
            return budget.remind.as_ref().map(ReminderTerms::fixed);
        }
        let key = self.current(&timer.id)?;
        let step = self.graph.step(key.step);
        match of {
            ReminderOf::Blocked => step.remind.as_ref().map(ReminderTerms::fixed),
            ReminderOf::Signal => match &step.work {
                Some(Work::Wait(wait)) => wait.remind.as_ref().map(ReminderTerms::fixed),
                _no_wait => None,
            },
            ReminderOf::Task | ReminderOf::Budget(_) => {
                let unit = self.unit_at(key)?;
                let terms = match (unit.question(), unit.approval()) {
                    (Some(question), _) => question.terms.remind_ms,
                    (None, Some(approval)) => approval.terms.remind_ms,
                    (None, None) => return None,
                };
                let remind = match &step.work {
                    Some(Work::Approval(approval)) => approval.remind.as_ref(),
                    Some(Work::Question(question)) => question.remind.as_ref(),
                    _work_that_asks => step.ask.as_ref().and_then(|ask| ask.remind.as_ref()),
                };
                let every = terms.map(Duration::from_millis);
                (every.is_some() || remind.is_some()).then(|| ReminderTerms::of_people(remind, every))
            }
        }
    }

    /// The budgets that hold the run and remind of it, as far as no reminder is set.
    pub(crate) fn unreminded_budgets(&self) -> Vec<TimerId> {
        if self.facts.spend.held.is_empty() {
            return Vec::new();
        }
        let over = self.facts.spend.budgets.iter().filter(|budget| budget.over.is_some());
        let timers = over.map(|budget| timer_of_budget(&budget.terms.id));
        timers.filter(|timer| !self.facts.reminders.has_begun(timer)).collect()
    }

    /// Whether reminders are to be set.
    pub(crate) fn owes_reminders(&self) -> bool {
        self.facts.reminders.unset().next().is_some() && !self.is_ending()
    }

    /// The timers of the reminders of all that waits.
    pub(crate) fn reminder_timers(&self) -> Vec<TimerId> {
        let facts = &self.facts;
        let of = |of: ReminderOf<'static>| move |key: &Key| timer_of(self.attempt_id(*key), of);
        let asked = facts.asking.iter().map(of(ReminderOf::Task));
        let blocked = facts.blocked.iter().map(of(ReminderOf::Blocked));
        asked.chain(blocked).chain(facts.order.waiting.iter().map(of(ReminderOf::Signal))).collect()
    }

    /// The timer that reminds of something that a run waits for.
    fn reminder_timer(&self, awaited: &Awaited) -> Option<TimerId> {
        let of = |path: &StepPath, of: ReminderOf<'_>| Some(timer_of(self.attempt_id(self.key(path)?), of));
        match awaited {
            Awaited::Approval { id, .. } | Awaited::Question { id, .. } => {
                Some(timer_of(id.clone(), ReminderOf::Task))
            }
            Awaited::Unblock { path, .. } => of(path, ReminderOf::Blocked),
            Awaited::Signal { path, .. } => of(path, ReminderOf::Signal),
            Awaited::Budget { budget, .. } => Some(timer_of_budget(budget)),
            Awaited::Timer { .. } | Awaited::Resume => None,
        }
    }

    /// How often people were reminded of something that the run waits for; `None` where they are not.
    #[must_use]
    pub fn reminded(&self, awaited: &Awaited) -> Option<Reminded> {
        let timer = self.reminder_timer(awaited)?;
        let terms = self.reminders_of(&timer)?;
        let (count, next) = (self.facts.reminders.count(&timer), self.facts.timers.get(&timer).copied());
        Some(Reminded { count, max: terms.max, next })
    }

    /// What a reminder is about.
    #[must_use]
    pub fn reminds_of(&self, timer: &TimerId) -> Option<Awaited> {
        timer.reminds_of()?;
        self.awaited().into_iter().find(|awaited| self.reminder_timer(awaited).as_ref() == Some(timer))
    }
}
