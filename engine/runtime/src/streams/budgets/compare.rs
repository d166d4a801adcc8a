//! Compares the reservations of a former engine with the runs that hold them.

use std::collections::HashSet;

use crate::error::QueryError;
use crate::runtime::Runtime;
use crate::streams::budgets::counter_stream::CounterStream;
use crate::streams::stream_writer::StreamError;
use everfold_base::id::{EffectId, Version};
use everfold_core::budgets::{Charge, CounterInput};
use everfold_core::event::{BudgetTerms, Spent};
use everfold_language::words::{OnOver, Period};

/// Charges what ended attempts have used up whose reservations still stand: an engine ended between the two, and the
/// run need not be resumed for it (D9). An attempt that is still to start keeps its reservation, and so does one that
/// cannot be looked at now; false where there is such.
pub(super) async fn compare(
    shared: &Runtime,
    counter_stream: &mut CounterStream,
    found_over: &mut HashSet<EffectId>,
) -> Result<bool, StreamError> {
    let mut is_whole = true;
    let reserved: Vec<EffectId> =
        counter_stream.counter.reserved().map(|(attempt, _)| attempt.clone()).collect();
    for attempt in reserved {
        let id = attempt.attempt.clone();
        let charge = match shared.with_state(attempt.run, move |state| state.charge_of(&id)).await {
            Ok(Some(charge)) => charge,
            Ok(None) => continue,
            // The run is not there any more.
            Err(QueryError::NotFound(_)) => (Version::ZERO, Spent::default(), shared.now()),
            Err(_not_now) => {
                is_whole = false;
                continue;
            }
        };
        let (version, spent, at) = charge;
        let charge = Charge { attempt: attempt.clone(), version, asked: true, spent, at };
        let _always_taken =
            counter_stream.record(shared, &without_period(), &CounterInput::Charge(charge)).await?;
        found_over.insert(attempt);
    }
    Ok(is_whole)
}

/// Terms that begin no period: a charge needs none, and the next request begins it.
fn without_period() -> BudgetTerms {
    BudgetTerms {
        id: String::new(),
        scope: None,
        per: Period::Total,
        zone: None,
        cost_micros: None,
        tokens: None,
        wall_ms: None,
        reserve_micros: 0,
        on_over: OnOver::Pause,
    }
}
