//! The treasury: keeps the counters of budgets that runs share.
//!
//! Law: one task owns all counters and is their only writer, so what it finds is true until it has
//! decided. An attempt starts only after something is durably kept free for it in every counter that its
//! run shares; what it used up is charged exactly once, however often a crash makes the run say it again
//! (S9). What a former engine reserved is compared with its run before the counter is used. Runs that wait
//! are remembered in memory alone: one that is loaded again asks again, and is told what it does not know.

mod book;
mod treasurer;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use book::Book;
pub(super) use treasurer::Treasurer;

use super::QueryError;
use super::engine::Engine;
use crate::budgets::{Counter, room, stream};
use crate::envelope::{StreamId, StreamKind};
use crate::event::BudgetTerms;
use crate::id::{EffectId, RunId, Version};
use crate::state::BudgetView;
use crate::state::spend::Report;
use crate::store::ReadError;

/// Streams that are listed at once.
const PAGE: usize = 1_000;
/// Counters that are kept for readers.
const READ_MAX: usize = 256;

/// What waits for the treasurer: at most one request for each attempt that is about to start, and one
/// report for each that has ended.
#[derive(Default)]
pub(super) struct Treasury {
    asks: Mutex<VecDeque<Ask>>,
    bell: Notify,
    /// Nobody answers any more.
    closed: AtomicBool,
    /// Counters that readers asked for, each read as far as then: beside the treasurer, who may wait for a store.
    read: Mutex<HashMap<StreamId, Arc<tokio::sync::Mutex<Book>>>>,
}

/// What the treasurer is asked or told; `terms` are those of the run's shared budgets.
#[derive(Clone)]
pub(super) enum Ask {
    /// Paid work wants to start; whether its run knows that there was no room for it.
    Funds { attempt: EffectId, terms: Vec<BudgetTerms>, was_refused: bool },
    /// A counter that keeps something free since a former engine.
    Look(StreamId),
    /// Work is over, or somebody raised a budget.
    Report { run: RunId, version: Version, report: Report, terms: Vec<BudgetTerms> },
}

impl Treasury {
    pub(super) fn put(&self, ask: Ask) {
        let mut asks = self.lock();
        if !self.closed.load(Ordering::Acquire) {
            asks.push_back(ask);
            self.bell.notify_one();
        }
    }

    fn close(&self) {
        let mut asks = self.lock();
        self.closed.store(true, Ordering::Release);
        asks.clear();
    }

    /// The counter of a stream for those who only read it.
    fn of_readers(&self, stream: &StreamId) -> Arc<tokio::sync::Mutex<Book>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= READ_MAX && !read.contains_key(stream) {
            read.clear(); // They are read again as they are asked for.
        }
        let unread = || Arc::new(tokio::sync::Mutex::new(Book::unread(stream.clone())));
        Arc::clone(read.entry(stream.clone()).or_insert_with(unread))
    }

    async fn next(&self) -> Ask {
        loop {
            let next = self.lock().pop_front();
            match next {
                Some(ask) => return ask,
                None => self.bell.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Ask>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Has the counters looked at that keep something free for work of a former engine, once in the
    /// engine's life and beside its work.
    ///
    /// # Errors
    /// The store cannot say which.
    pub(super) async fn look_at_counters(&self) -> Result<(), ReadError> {
        let shared = &self.inner.shared;
        if !shared.looked_at_counters.swap(true, Ordering::AcqRel) {
            let due = shared.store.due(shared.now()).await?;
            let counters = due.into_iter().filter(|stream| stream.kind == StreamKind::Budget);
            counters.for_each(|stream| shared.treasury.put(Ask::Look(stream)));
        }
        Ok(())
    }

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
        let book = shared.treasury.of_readers(&stream);
        let mut book = book.lock().await;
        book.read_on(shared).await.map_err(|error| QueryError::Store(error.to_string()))?;
        let (used, period) = book.counter.at(terms, shared.now());
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
                let book = Book::load(shared, stream).await;
                let book = book.map_err(|error| QueryError::Store(error.to_string()))?;
                counters.push((stream.clone(), book.counter));
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
                _ => return Ok(counters),
            }
        }
    }
}
