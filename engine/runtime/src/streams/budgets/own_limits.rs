//! Limits that counters have of their own: set live, and what waited for them goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aggregate_store::Change;
use crate::streams::budgets::allocator::BudgetAllocator;
use crate::streams::budgets::limit_change::{BudgetError, OwnLimitChange};
use crate::streams::budgets::mailbox::BudgetRequest;
use crate::streams::stream_writer::{StreamError, first_append};
use crate::streams::triggers::by::By;
use everfold_base::id::RunId;
use everfold_core::budgets::{CounterInput, CounterName, OwnLimitSet};

/// How often a counter whose stream changed meanwhile is loaded anew and decided on again.
const TRIES: u32 = 5;

impl BudgetAllocator {
    /// Gives a counter limits of its own, and serves the attempts that waited for it. A request that comes again under its
    /// key changes nothing.
    pub(super) async fn set_own_limit(
        &mut self,
        set: &OwnLimitSet,
        by: &By,
    ) -> Result<Result<OwnLimitChange, BudgetError>, StreamError> {
        let shared = Arc::clone(&self.shared);
        let name = CounterName { scope: set.scope.clone(), per: set.per, zone: set.zone.clone() };
        let (stream, terms) = (name.stream(), name.terms());
        match first_append(&shared, by).await? {
            None => {}
            Some(None) => return Ok(Err(BudgetError::KeyReused)),
            Some(Some(position)) => {
                self.retry_later(BudgetRequest::Look(stream));
                let change = Change { position, changed: true, repeated: true };
                return Ok(Ok(OwnLimitChange { change, resumed: Vec::new() }));
            }
        }
        let input = CounterInput::SetOwnLimit(set.clone());
        let mut tries = 0;
        let position = loop {
            match self.open(&stream).await?.record_by(&shared, &terms, &input, by).await {
                Err(StreamError::Changed) if tries < TRIES => {
                    tries += 1;
                    self.forget_counter(&stream);
                }
                other => break other?.1,
            }
        };
        let change = match position {
            Some(position) => Change { position, changed: true, repeated: false },
            None => Change { position: shared.store.last_position(), changed: false, repeated: false },
        };
        let waiting =
            |allocator: &Self| -> BTreeSet<RunId> { allocator.waits().map(|it| it.attempt.run).collect() };
        let before = waiting(self);
        match self.counters_changed(&BTreeSet::from([stream.clone()])).await {
            Ok(()) => {}
            Err(StreamError::Closed) => return Err(StreamError::Closed),
            Err(error) => {
                tracing::warn!(%error, "a limit is set; what waits for it is looked at again");
                self.retry_later(BudgetRequest::Look(stream));
            }
        }
        let after = waiting(self);
        Ok(Ok(OwnLimitChange { change, resumed: before.difference(&after).copied().collect() }))
    }
}
