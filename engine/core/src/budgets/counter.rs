//! The fold of a counter's stream.

use std::collections::{BTreeMap, VecDeque};

use super::event::{CounterEvent, OwnLimitSet};
use super::period;
use super::room::BudgetUse;
use crate::event::{BudgetTerms, Spent};
use everfold_base::id::{EffectId, RunId, Version};
use everfold_base::time::Timestamp;

/// Charges without a reservation, reservations that went back unused, and raises that are remembered, so that a repeated
/// one is recognised: only what a crash left unconfirmed comes again, and it comes first.
const RECENT_MAX: usize = 4_096;

/// What is reserved for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// In millionths of a US dollar.
    pub cost_micros: u64,
    /// Its budget, where work is to stop when the limit is passed.
    pub terms: Option<BudgetTerms>,
}

/// What all runs of a scope have used up in its period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counter {
    spent: Spent,
    raised: Spent,
    period: Option<(Timestamp, Timestamp)>,
    reserved: BTreeMap<EffectId, Reserved>,
    reserved_micros: u64,
    recent: VecDeque<(RunId, Version)>,
    own: Option<OwnLimitSet>,
}

impl Counter {
    /// Folds a fact.
    pub fn apply(&mut self, event: &CounterEvent) {
        match event {
            CounterEvent::FundsReserved(event) => {
                let reserved = Reserved { cost_micros: event.cost_micros, terms: event.terms.clone() };
                if self.reserved.insert(event.attempt.clone(), reserved).is_none() {
                    self.reserved_micros = self.reserved_micros.saturating_add(event.cost_micros);
                }
            }
            CounterEvent::SpendCharged(event) => {
                match self.reserved.remove(&event.attempt) {
                    Some(reserved) => {
                        self.reserved_micros = self.reserved_micros.saturating_sub(reserved.cost_micros);
                        // The attempt may ask again: the same report must not take its next reservation.
                        if event.spent.is_zero() && event.version != Version::ZERO {
                            self.remember(event.attempt.run, event.version);
                        }
                    }
                    None => self.remember(event.attempt.run, event.version),
                }
                if self.is_current(event.at) {
                    self.spent = self.spent.plus(event.spent);
                }
            }
            CounterEvent::LimitRaised(event) => {
                self.remember(event.run, event.version);
                if self.is_current(event.at) {
                    self.raised = self.raised.plus(event.add);
                }
            }
            CounterEvent::CounterPeriodBegan(event) => {
                self.period = Some((event.from, event.until));
                (self.spent, self.raised) = (Spent::default(), Spent::default());
            }
            CounterEvent::OwnLimitSet(event) => {
                self.own = Some(event.clone()).filter(|event| !event.limit.is_none());
            }
        }
    }

    fn remember(&mut self, run: RunId, version: Version) {
        self.recent.push_back((run, version));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// Whether a moment counts in the period: use that is reported late counts in the former period in which it occurred.
    fn is_current(&self, at: Timestamp) -> bool {
        self.period.is_none_or(|(from, _)| at >= from)
    }

    /// How far it is used up.
    #[must_use]
    pub fn used(&self) -> BudgetUse {
        BudgetUse { spent: self.spent, reserved_micros: self.reserved_micros, raised: self.raised }
    }

    /// How far it is used up at a moment, and the period of that: where its own is over, the next one has begun and
    /// nothing of it is spent, though no event says so yet.
    #[must_use]
    pub fn at(&self, terms: &BudgetTerms, now: Timestamp) -> (BudgetUse, Option<(Timestamp, Timestamp)>) {
        match self.period {
            Some((_, until)) if now < until => (self.used(), self.period),
            _over_or_none => match period(now, terms.per, terms.zone.as_deref()) {
                None => (self.used(), self.period),
                begun => (BudgetUse { reserved_micros: self.reserved_micros, ..BudgetUse::default() }, begun),
            },
        }
    }

    /// The period that it counts in; `None`: all of time, or none has begun.
    #[must_use]
    pub fn period(&self) -> Option<(Timestamp, Timestamp)> {
        self.period
    }

    /// The limits that it has of its own.
    #[must_use]
    pub fn own(&self) -> Option<&OwnLimitSet> {
        self.own.as_ref()
    }

    /// Whether something is reserved for an attempt.
    #[must_use]
    pub fn has_reserved(&self, attempt: &EffectId) -> bool {
        self.reserved.contains_key(attempt)
    }

    /// What is reserved, and for which attempts.
    pub fn reserved(&self) -> impl Iterator<Item = (&EffectId, &Reserved)> {
        self.reserved.iter()
    }

    pub(super) fn knows(&self, run: RunId, version: Version) -> bool {
        self.recent.iter().rev().any(|known| *known == (run, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::event::{CounterPeriodBegan, LimitRaised, SpendCharged};
    use everfold_language::definition::{OnOver, Period};

    #[test]
    fn row_75_behind_the_end_of_its_period_a_counter_stands_at_nothing_before_an_event_says_so() {
        let day: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let next: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let terms = BudgetTerms {
            id: "daily".into(),
            scope: Some("team".into()),
            per: Period::Day,
            zone: None,
            cost_micros: Some(100),
            tokens: None,
            wall_ms: None,
            reserve_micros: 0,
            on_over: OnOver::Pause,
        };
        let (run, version) = (RunId(uuid::Uuid::from_u128(1)), Version(3));
        let attempt = EffectId { run, attempt: "a/1/1".parse().unwrap() };
        let amount = |cost_micros| Spent { cost_micros, ..Spent::default() };
        let mut counter = Counter::default();
        assert_eq!(
            counter.at(&terms, day),
            (BudgetUse::default(), Some((day, next))),
            "nothing was ever said"
        );
        for event in [
            CounterEvent::CounterPeriodBegan(CounterPeriodBegan { from: day, until: next }),
            CounterEvent::SpendCharged(SpendCharged { attempt, version, spent: amount(70), at: day }),
            CounterEvent::LimitRaised(LimitRaised { run, version, add: amount(5), at: day }),
        ] {
            counter.apply(&event);
        }
        let (used, period) = counter.at(&terms, Timestamp(next.0 - 1));
        assert_eq!((used.spent.cost_micros, used.raised.cost_micros, period), (70, 5, Some((day, next))));
        let (used, period) = counter.at(&terms, next);
        assert_eq!((used, period.map(|(from, _)| from)), (BudgetUse::default(), Some(next)));
    }
}
