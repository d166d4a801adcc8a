//! The mailbox of the budget allocator, and what it is asked.

use crate::streams::budgets::counter_stream::CounterStream;
use everfold_base::envelope::StreamId;
use everfold_base::id::{EffectId, RunId, Version};
use everfold_core::event::BudgetTerms;
pub use everfold_core::state::spend::Report;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// Counters that are kept for readers.
const READ_MAX: usize = 256;

/// What waits for the budget allocator: at most one request for each attempt that is about to start, and one
/// report for each that has ended.
#[derive(Default)]
pub(crate) struct BudgetMailbox {
    pub(crate) asks: Mutex<VecDeque<BudgetRequest>>,
    pub(crate) bell: Notify,
    /// The mailbox is closed.
    pub(crate) closed: AtomicBool,
    /// Counters that readers asked for, each read as far as then: beside the budget allocator, which may wait for a store.
    pub(crate) read: Mutex<HashMap<StreamId, Arc<tokio::sync::Mutex<CounterStream>>>>,
}

/// What the budget allocator is asked or informed of; `terms` are those of the run's shared budgets.
#[derive(Clone)]
pub(crate) enum BudgetRequest {
    /// Paid work wants to start; whether its run knows that there was no room for it.
    Funds { attempt: EffectId, terms: Vec<BudgetTerms>, was_refused: bool },
    /// A counter that keeps something free since a former engine.
    Look(StreamId),
    /// Work is over, or a budget was raised.
    Report { run: RunId, version: Version, report: Report, terms: Vec<BudgetTerms> },
}

impl BudgetMailbox {
    pub(crate) fn put(&self, ask: BudgetRequest) {
        let mut asks = self.lock();
        if !self.closed.load(Ordering::Acquire) {
            asks.push_back(ask);
            self.bell.notify_one();
        }
    }

    pub(crate) fn close(&self) {
        let mut asks = self.lock();
        self.closed.store(true, Ordering::Release);
        asks.clear();
    }

    /// The counter of a stream for those who only read it.
    pub(crate) fn of_readers(&self, stream: &StreamId) -> Arc<tokio::sync::Mutex<CounterStream>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= READ_MAX && !read.contains_key(stream) {
            read.clear(); // They are read again as they are asked for.
        }
        let unread = || Arc::new(tokio::sync::Mutex::new(CounterStream::unread(stream.clone())));
        Arc::clone(read.entry(stream.clone()).or_insert_with(unread))
    }

    pub(crate) async fn next(&self) -> BudgetRequest {
        loop {
            let next = self.lock().pop_front();
            match next {
                Some(ask) => return ask,
                None => self.bell.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<BudgetRequest>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
