//! Queries about budgets that runs share.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::redaction::redact_option;
use crate::stream_listing::StreamListing;
use crate::streams::budgets::counter_stream::CounterStream;
use crate::streams::budgets::limit_change::{BudgetError, OwnLimitChange};
use crate::streams::budgets::mailbox::{BudgetRequest, FundsWait};
use crate::streams::triggers::by::By;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_core::budgets::{Counter, OwnLimitSet, REASON_BYTES_MAX, stream};
use everfold_core::decide::begin::KEY_BYTES_MAX;
use everfold_core::event::BudgetTerms;
use everfold_core::state::BudgetView;
use everfold_language::definition::Rates;
use tokio::sync::mpsc;

impl Engine {
    /// What other currencies are worth.
    #[must_use]
    pub fn rates(&self) -> &Rates {
        &self.inner.shared.config.money.rates
    }

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
        let counter = &counter_stream.counter;
        let own = counter.own().map(|own| own.limit).unwrap_or_default();
        Ok(Some(BudgetView { terms, used, over: counter.room(terms, &used).err(), period, own }))
    }

    /// A counter as it is now.
    ///
    /// # Errors
    /// [`QueryError`]
    pub async fn budget_counter(&self, stream: &StreamId) -> Result<Counter, QueryError> {
        let shared = &self.inner.shared;
        let counter_stream = shared.read_counters.get(stream);
        let mut counter_stream = counter_stream.lock().await;
        counter_stream.read_on(shared).await.map_err(|error| QueryError::Store(error.to_string()))?;
        Ok(counter_stream.counter.clone())
    }

    /// The attempts that wait for room in budgets that runs share, in the order in which they asked; none where the engine
    /// ends. Not durable: a run that no engine drives waits for nothing.
    pub async fn waiting_for_funds(&self) -> Vec<FundsWait> {
        let (answer, mut answered) = mpsc::channel(1);
        self.inner.shared.mailboxes.budgets.put(BudgetRequest::Waiting(answer));
        answered.recv().await.unwrap_or_default()
    }

    /// Gives the counter of a scope, a period and a zone limits of its own, other ones, or none. Work that waited and has
    /// room now goes on; of work that runs what is to stop is stopped.
    ///
    /// # Errors
    /// [`BudgetError`]
    pub async fn set_own_limit(
        &self,
        mut set: OwnLimitSet,
        by: impl Into<By>,
    ) -> Result<OwnLimitChange, BudgetError> {
        if set.scope.trim().is_empty() || set.scope.len() > KEY_BYTES_MAX {
            return Err(BudgetError::BadScope);
        }
        set.scope = set.scope.trim().to_owned();
        if let Some((pattern, _)) = self.credential_in(&set.scope) {
            return Err(BudgetError::Credential(pattern));
        }
        if let Some(redactor) = &self.inner.shared.edge.redactor {
            redact_option(&**redactor, &mut set.reason);
        }
        if set.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(BudgetError::LongReason);
        }
        let (answer, mut answered) = mpsc::channel(1);
        self.inner.shared.mailboxes.budgets.put(BudgetRequest::SetOwnLimit(set, by.into(), answer));
        answered.recv().await.unwrap_or(Err(BudgetError::ShuttingDown))
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
