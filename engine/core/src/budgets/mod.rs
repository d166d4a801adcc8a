//! Budgets: what fits, when periods begin, and the counters that runs share.
//!
//! Law (L31): paid work starts only where what was spent, what is reserved for work that runs and the
//! `reserve` fit into every limit, and something is left of it. So a budget is exceeded by no more than
//! what the work that runs uses up beyond its reserve. Everything here is pure; a counter's stream says
//! all of it.
//!
//! A budget of one run alone is a part of that run's state. Budgets with a `scope` are counters: one for
//! each scope, period and zone, over all runs of the store. A counter may have limits of its own beside those that its
//! runs bring along: work starts where both have room.
//!
//! Called by `decide` for a run's own budgets, and by the budget allocator of the runtime, the only writer of counters.

mod counter;
mod decide;
mod event;
mod own_limit;
mod period;
mod room;

pub use counter::{Counter, Reserved};
pub use decide::{Charge, CounterInput, FundsRequest, Raise, decide, waits_for_running};
pub use event::{
    CounterEvent, CounterPeriodBegan, FundsReserved, LimitRaised, OwnLimit, OwnLimitSet, SpendCharged,
};
pub(crate) use own_limit::period_word;
pub use own_limit::{CounterName, REASON_BYTES_MAX};
pub use period::{period, zone_name};
pub use room::{BudgetUse, has_room_behind, limit, passed, room, shown};

use crate::event::BudgetTerms;
use everfold_base::envelope::StreamId;

/// A budget in a sentence: the only one of a pipeline, which has no name of its own, is “the budget”.
#[must_use]
pub fn named(id: &str) -> String {
    if id == "budget" { "the budget".to_owned() } else { format!("the budget {id}") }
}

/// The stream of the counter that a budget belongs to; `None` where it is of its run alone. Budgets of
/// the same scope with other periods are other counters.
#[must_use]
pub fn stream(terms: &BudgetTerms) -> Option<StreamId> {
    let scope = terms.scope.as_ref()?;
    Some(own_limit::stream_of(scope, terms.per, terms.zone.as_deref()))
}
