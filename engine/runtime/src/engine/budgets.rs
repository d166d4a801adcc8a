//! Queries about budgets that runs share.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::stream_listing::StreamListing;
use crate::streams::budgets::counter_stream::CounterStream;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_core::budgets::{Counter, room, stream};
use everfold_core::event::BudgetTerms;
use everfold_core::state::BudgetView;

impl Engine {
    /// A shared budget by its counter; `None`: it is its run's alone. Reads what was added to the counter since the last
    /// query, and the first time its whole history.
    ///
    /// # Errors
    /// [`QueryError::Store`]: the counter cannot be read.
    pub async fn shared_budget<'a>(
        &self,
        terms: &'a BudgetTerms,
    ) -> Result<Option<BudgetView<'a>>, QueryError> {
        let Some(stream) = stream(terms) else { return Ok(None) };
        let shared = &self.inner.shared;
        let counter_stream = shared.read_counters.get(&stream);
        let mut counter_stream = counter_stream.lock().await;
        counter_stream.read_on(shared).await.map_err(|error| QueryError::Store(error.to_string()))?;
        let (used, period) = counter_stream.counter.at(terms, shared.now());
        Ok(Some(BudgetView { terms, used, over: room(terms, &used).err(), period }))
    }

    /// The counters of all budgets that runs share. Costs as much as their histories are long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: one cannot be read.
    pub async fn budget_counters(&self) -> Result<Vec<(StreamId, Counter)>, QueryError> {
        let shared = &self.inner.shared;
        let mut counters = Vec::new();
        let mut listing = StreamListing::new(shared.store.as_ref(), StreamKind::Budget);
        while let Some(page) = listing.next().await.map_err(|error| QueryError::Store(error.to_string()))? {
            for (stream, _) in page {
                let counter_stream = CounterStream::load(shared, &stream).await;
                let counter_stream = counter_stream.map_err(|error| QueryError::Store(error.to_string()))?;
                counters.push((stream, counter_stream.counter));
            }
        }
        Ok(counters)
    }
}
