//! Budgets: what fits, when periods begin, and the counters that runs share.
//!
//! Law (L31): paid work starts only where what was spent, what is reserved for work that runs and the
//! `reserve` fit into every limit, and something is left of it. So a budget is exceeded by no more than
//! what the work that runs uses up beyond its reserve. Everything here is pure; a counter's stream says
//! all of it.
//!
//! A budget of one run alone is a part of that run's state. Budgets with a `scope` are counters: one for
//! each scope, period and zone, over all runs of the store.
//!
//! Called by `decide` for a run's own budgets, and by the budget allocator of the runtime, the only writer of counters.

mod counter;
mod decide;
mod event;
mod period;
mod room;

pub use counter::{Counter, Reserved};
pub use decide::{Charge, CounterInput, FundsRequest, Raise, decide};
pub use event::{CounterEvent, CounterPeriodBegan, FundsReserved, LimitRaised, SpendCharged};
pub use period::period;
pub use room::{BudgetUse, limit, passed, room, shown};

use crate::event::BudgetTerms;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::json::Hash;
use everfold_language::definition::Period;

/// Longer scopes are named by their hash.
const PLAIN_BYTES_MAX: usize = 160;

/// The stream of the counter that a budget belongs to; `None` where it is of its run alone. Budgets of
/// the same scope with other periods are other counters.
#[must_use]
pub fn stream(terms: &BudgetTerms) -> Option<StreamId> {
    let scope = terms.scope.as_ref()?;
    let per = match terms.per {
        Period::Total => "total",
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
    };
    let zone = terms.zone.as_deref().unwrap_or("UTC");
    let is_plain = scope.len() <= PLAIN_BYTES_MAX && !scope.chars().any(char::is_control);
    let id = match (is_plain, terms.per) {
        (true, Period::Total) => format!("{per}:{scope}"),
        (true, _) => format!("{per}@{zone}:{scope}"),
        (false, Period::Total) => format!("{per}#{}", Hash::of(scope.as_bytes())),
        (false, _) => format!("{per}@{zone}#{}", Hash::of(scope.as_bytes())),
    };
    Some(StreamId { kind: StreamKind::Budget, id: id.into() })
}
