//! Counters as readers ask for them.
//!
//! Law: a reader never waits for the budget allocator, which may wait for the store: it folds the counters itself.

use crate::streams::budgets::counter_stream::CounterStream;
use everfold_base::envelope::StreamId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counters that are kept for readers.
const COUNTERS_MAX: usize = 256;

/// Counters that readers asked for, each folded up to its last read.
#[derive(Default)]
pub(crate) struct ReadCounters {
    counters: Mutex<HashMap<StreamId, Arc<tokio::sync::Mutex<CounterStream>>>>,
}

impl ReadCounters {
    /// The counter of a stream; the caller has it read on.
    pub(crate) fn get(&self, stream: &StreamId) -> Arc<tokio::sync::Mutex<CounterStream>> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= COUNTERS_MAX && !counters.contains_key(stream) {
            counters.clear(); // They are read again as they are asked for.
        }
        let unread = || Arc::new(tokio::sync::Mutex::new(CounterStream::unread(stream.clone())));
        Arc::clone(counters.entry(stream.clone()).or_insert_with(unread))
    }
}
