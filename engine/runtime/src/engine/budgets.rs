//! What the engine says of budgets that runs share.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::streams::budgets::counter_stream::CounterStream;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_core::budgets::{Counter, room, stream};
use everfold_core::event::BudgetTerms;
use everfold_core::state::BudgetView;

/// Streams that are listed at once.
const PAGE: usize = 1_000;

impl Engine {
    /// A shared budget as its counter stands now; `None`: it is of its run alone. Costs what was added to the counter
    /// since it was asked for last, and the first time its whole history.
    ///
    /// # Errors
    /// [`QueryError::Store`]: the counter cannot be read.
    pub async fn shared_budget<'a>(
        &self,
        terms: &'a BudgetTerms,
    ) -> Result<Option<BudgetView<'a>>, QueryError> {
        let Some(stream) = stream(terms) else { return Ok(None) };
        let shared = &self.inner.shared;
        let counter_stream = shared.mailboxes.budgets.of_readers(&stream);
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
        let mut after = None;
        loop {
            let page = shared.store.streams(StreamKind::Budget, after, PAGE).await;
            let page = page.map_err(|error| QueryError::Store(error.to_string()))?;
            for (stream, _) in &page {
                let counter_stream = CounterStream::load(shared, stream).await;
                let counter_stream = counter_stream.map_err(|error| QueryError::Store(error.to_string()))?;
                counters.push((stream.clone(), counter_stream.counter));
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
                _ => return Ok(counters),
            }
        }
    }
}
