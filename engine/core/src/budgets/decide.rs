//! What follows for a counter.

use super::counter::Counter;
use super::event::{CounterEvent, CounterPeriodBegan, FundsReserved, LimitRaised, OwnLimitSet, SpendCharged};
use super::period;
use super::room::BudgetUse;
use crate::event::{BudgetTerms, Measure, Spent};
use everfold_base::id::{EffectId, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_language::definition::OnOver;

/// An attempt that wants to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundsRequest {
    /// The attempt.
    pub attempt: EffectId,
    /// The limits are its own run's.
    pub terms: BudgetTerms,
}

/// An attempt that ended, will not start, or waits for a budget of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The attempt.
    pub attempt: EffectId,
    /// The version of the run's event that says so.
    pub version: Version,
    /// It may have asked before it started; else it is not paid work, and used something up even so.
    pub asked: bool,
    /// What it used up.
    pub spent: Spent,
    /// When it ended.
    pub at: Timestamp,
}

/// A person raises the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raise {
    /// The run where they do.
    pub run: RunId,
    /// The version of the run's event that says so.
    pub version: Version,
    /// By how much.
    pub add: Spent,
    /// When.
    pub at: Timestamp,
}

/// What happens to a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CounterInput {
    /// An attempt wants to start.
    Request(FundsRequest),
    /// An attempt is over.
    Charge(Charge),
    /// The limits are raised.
    Raise(Raise),
    /// The counter gets limits of its own.
    SetOwnLimit(OwnLimitSet),
}

/// What follows from an input at a moment, and what is used up where an attempt may not start; `terms`
/// say which period counts. A new period may begin even where an attempt is refused.
pub fn decide(
    counter: &Counter,
    terms: &BudgetTerms,
    input: &CounterInput,
    now: Timestamp,
) -> (Vec<CounterEvent>, Result<(), Measure>) {
    let mut draft = BudgetDraft { counter: counter.clone(), events: Vec::new() };
    if matches!(input, CounterInput::SetOwnLimit(set) if draft.has_own_limit(set)) {
        // A period that has ended is no change of the limits.
        return (Vec::new(), Ok(()));
    }
    draft.begin_period(terms, now);
    let found = match input {
        CounterInput::Request(request) => draft.request(request),
        CounterInput::Charge(charge) => {
            draft.charge(charge);
            Ok(())
        }
        CounterInput::Raise(raise) => {
            draft.raise(raise);
            Ok(())
        }
        CounterInput::SetOwnLimit(set) => {
            draft.record(CounterEvent::OwnLimitSet(set.clone()));
            Ok(())
        }
    };
    (draft.events, found)
}

/// Whether an attempt that may not start waits for nothing but the end of work that runs, and so for what is reserved for
/// that.
#[must_use]
pub fn waits_for_running(counter: &Counter, terms: &BudgetTerms, now: Timestamp) -> bool {
    let mut draft = BudgetDraft { counter: counter.clone(), events: Vec::new() };
    draft.begin_period(terms, now);
    let used = BudgetUse { reserved_micros: 0, ..draft.counter.used() };
    draft.counter.room(terms, &used).is_ok()
}

struct BudgetDraft {
    counter: Counter,
    events: Vec<CounterEvent>,
}

impl BudgetDraft {
    fn record(&mut self, event: CounterEvent) {
        self.counter.apply(&event);
        self.events.push(event);
    }

    fn begin_period(&mut self, terms: &BudgetTerms, now: Timestamp) {
        let is_over = self.counter.period().is_none_or(|(_, until)| now >= until);
        if is_over && let Some((from, until)) = period(now, terms.per, terms.zone.as_deref()) {
            self.record(CounterEvent::CounterPeriodBegan(CounterPeriodBegan { from, until }));
        }
    }

    fn request(&mut self, request: &FundsRequest) -> Result<(), Measure> {
        if self.counter.has_reserved(&request.attempt) {
            return Ok(()); // A repeated request: the answer was lost.
        }
        self.counter.room(&request.terms, &self.counter.used())?;
        self.record(CounterEvent::FundsReserved(FundsReserved {
            attempt: request.attempt.clone(),
            cost_micros: request.terms.reserve_micros,
            terms: (request.terms.on_over != OnOver::Pause).then(|| request.terms.clone()),
        }));
        Ok(())
    }

    fn charge(&mut self, charge: &Charge) {
        let is_news = match charge.asked {
            // Without a reservation it was charged before, or never got one. One that gave its reservation back may
            // have got another: what it gave back is taken once.
            true => {
                self.counter.has_reserved(&charge.attempt)
                    && !self.counter.knows(charge.attempt.run, charge.version)
            }
            false => !charge.spent.is_zero() && !self.counter.knows(charge.attempt.run, charge.version),
        };
        if is_news {
            let Charge { attempt, version, spent, at, .. } = charge.clone();
            self.record(CounterEvent::SpendCharged(SpendCharged { attempt, version, spent, at }));
        }
    }

    fn has_own_limit(&self, set: &OwnLimitSet) -> bool {
        match self.counter.own() {
            Some(own) => own.limit == set.limit && own.written == set.written,
            None => set.limit.is_none(),
        }
    }

    fn raise(&mut self, raise: &Raise) {
        if !self.counter.knows(raise.run, raise.version) {
            let Raise { run, version, add, at } = *raise;
            self.record(CounterEvent::LimitRaised(LimitRaised { run, version, add, at }));
        }
    }
}
