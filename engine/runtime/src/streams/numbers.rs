//! Gives the runs of a key their numbers.
//!
//! Laws:
//! - The stream of a key has one writer at a time. All starts that wait for it get their numbers in one append.
//! - A number is durable before the start that it was given to is. A start that ends in between leaves a gap.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::deps::Deps;
use crate::streams::folded_stream::{FoldedStream, StreamFold};
use crate::streams::stream_writer::{StoredEvent, StreamError, stored_events};
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::InputId;
use everfold_core::run_numbers::{NUMBERS_FOLD_VERSION, NumberEvent, RunNumbers, STARTS_KEPT};

/// Keys that are kept in memory; more are read again as they are asked for.
const KEYS_KEPT: usize = 256;
/// Numbers that are given in one append.
const BATCH_MAX: usize = STARTS_KEPT / 2;
/// How often a start decides anew where the outcome of an append is unknown.
const TRIES_MAX: usize = 8;

/// The counts of all keys that were asked for.
#[derive(Default)]
pub(crate) struct Numbers {
    counts: Mutex<HashMap<StreamId, Arc<KeyCount>>>,
}

/// The count of one key.
struct KeyCount {
    /// Starts that have no number yet, in their order.
    waiting: Mutex<Vec<InputId>>,
    stream: tokio::sync::Mutex<FoldedStream<RunNumbers>>,
}

impl Numbers {
    /// The number of a start: the next one of the key, or that which the same start was given before.
    pub(crate) async fn take(&self, shared: &Deps, key: &str, start: InputId) -> Result<u64, StreamError> {
        let count = self.count(RunNumbers::stream(key));
        count.waiting().push(start);
        let _waiting = WaitingStart { count: &count, start };
        let mut stream = count.stream.lock().await;
        for _ in 0..TRIES_MAX {
            let numbers = stream.current(shared).await?;
            if let Some(number) = numbers.of(start) {
                return Ok(number);
            }
            let mut after = numbers.clone();
            let events = count.next_batch(start).into_iter().filter_map(|start| {
                let event = after.take(start)?;
                after.apply(&event);
                Some(event)
            });
            let events = events.collect();
            match stream.append(shared, events).await {
                Ok(()) | Err(StreamError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StreamError::Changed)
    }

    fn count(&self, stream: StreamId) -> Arc<KeyCount> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= KEYS_KEPT && !counts.contains_key(&stream) {
            // One that is in use stays: a stream has one writer.
            counts.retain(|_, count| Arc::strong_count(count) > 1);
        }
        let unread = || {
            let folded = tokio::sync::Mutex::new(FoldedStream::unread(stream.clone()));
            Arc::new(KeyCount { waiting: Mutex::default(), stream: folded })
        };
        Arc::clone(counts.entry(stream.clone()).or_insert_with(unread))
    }
}

/// A start that waits for its number; one that ends without it waits no more.
struct WaitingStart<'a> {
    count: &'a KeyCount,
    start: InputId,
}

impl Drop for WaitingStart<'_> {
    fn drop(&mut self) {
        self.count.waiting().retain(|start| *start != self.start);
    }
}

impl KeyCount {
    fn waiting(&self) -> MutexGuard<'_, Vec<InputId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that have waited longest, and the start that appends.
    fn next_batch(&self, start: InputId) -> Vec<InputId> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH_MAX);
        let mut batch: Vec<InputId> = waiting.drain(..count).collect();
        if !batch.contains(&start) {
            batch.push(start);
        }
        batch
    }
}

impl StreamFold for RunNumbers {
    type Event = NumberEvent;

    const FOLD_VERSION: u32 = NUMBERS_FOLD_VERSION;

    fn apply(&mut self, event: &NumberEvent) {
        Self::apply(self, event);
    }

    fn decode(envelope: &Envelope) -> Result<NumberEvent, String> {
        let header = &envelope.header;
        NumberEvent::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
    }

    fn stored(events: &[NumberEvent]) -> Result<Vec<StoredEvent>, StreamError> {
        stored_events(events, NumberEvent::name, NumberEvent::encode)
    }

    fn weight(&self) -> usize {
        STARTS_KEPT
    }
}
