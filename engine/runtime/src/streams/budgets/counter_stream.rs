//! One counter of the budget allocator: its folded stream, and the appends to it.

use crate::deps::Deps;
use crate::streams::linked_events::linked_events;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::Version;
use everfold_base::json::Hash;
use everfold_core::budgets::{Counter, CounterEvent, CounterInput, decide};
use everfold_core::event::{BudgetTerms, Measure};
use everfold_store::{Append, AppendError, StreamNote};

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A counter and where its stream ends.
pub(crate) struct CounterStream {
    pub(crate) counter: Counter,
    stream: StreamId,
    version: Version,
    hash: Hash,
}

/// Why the budget allocator cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CounterError {
    /// The stream is not what this engine left.
    #[error("the counter's stream changed under the treasurer")]
    Changed,
    /// The counter cannot be read, or the store does not take it.
    #[error("{0}")]
    Store(String),
    /// The store takes nothing more.
    #[error("the store is closed")]
    Closed,
}

impl CounterStream {
    /// A counter of which nothing was read yet.
    pub(crate) fn unread(stream: StreamId) -> Self {
        Self { counter: Counter::default(), stream, version: Version::ZERO, hash: Hash::ZERO }
    }

    /// Folds a counter's stream.
    pub(crate) async fn load(shared: &Deps, stream: &StreamId) -> Result<Self, CounterError> {
        let mut counter_stream = Self::unread(stream.clone());
        counter_stream.read_on(shared).await?;
        Ok(counter_stream)
    }

    /// Folds what was added to the stream since it was read.
    pub(crate) async fn read_on(&mut self, shared: &Deps) -> Result<(), CounterError> {
        let failed = |stream: &StreamId, error: String| CounterError::Store(format!("{stream}: {error}"));
        loop {
            let page = shared.store.read(&self.stream, self.version.next(), PAGE).await;
            let page = page.map_err(|error| failed(&self.stream, error.to_string()))?;
            for envelope in &page {
                let header = &envelope.header;
                let event = CounterEvent::decode(header.kind, header.schema, &envelope.payload);
                self.counter.apply(&event.map_err(|error| failed(&self.stream, error.to_string()))?);
                (self.version, self.hash) = (header.version, envelope.hash);
            }
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Decides, and makes durable what follows. With [`CounterError::Changed`] the counter is to be loaded
    /// anew.
    pub(crate) async fn give(
        &mut self,
        shared: &Deps,
        terms: &BudgetTerms,
        input: &CounterInput,
    ) -> Result<Result<(), Measure>, CounterError> {
        let (events, found) = decide(&self.counter, terms, input, shared.now());
        if events.is_empty() {
            return Ok(found);
        }
        loop {
            let (append, after) = self.append_of(shared, &events)?;
            let last = append.events.last().map(|last| (last.header.version, last.hash));
            match shared.store.append(append).await {
                Ok(_) => {
                    let wish = shared.config.crash_after.as_deref();
                    if events.iter().any(|event| wish == Some(event.name())) {
                        crate::crash_point::abort_process();
                    }
                    (self.version, self.hash) = last.unwrap_or((self.version, self.hash));
                    self.counter = after;
                    return Ok(found);
                }
                Err(AppendError::Full | AppendError::ReadOnly(_)) => {
                    shared.until_writable().await.ok_or(CounterError::Closed)?;
                }
                Err(
                    AppendError::WrongExpectedVersion { .. }
                    | AppendError::WrongPreviousHash { .. }
                    | AppendError::Unknown(_),
                ) => return Err(CounterError::Changed),
                Err(AppendError::Closed | AppendError::NotOurs(_) | AppendError::Fenced { .. }) => {
                    return Err(CounterError::Closed);
                }
                Err(error) => return Err(CounterError::Store(error.to_string())),
            }
        }
    }

    fn append_of(&self, shared: &Deps, events: &[CounterEvent]) -> Result<(Append, Counter), CounterError> {
        let mut after = self.counter.clone();
        events.iter().for_each(|event| after.apply(event));
        let encoded: Result<Vec<_>, _> = events.iter().map(CounterEvent::encode).collect();
        let encoded = encoded.map_err(|error| CounterError::Store(error.to_string()))?;
        let end = (self.version, self.hash);
        let linked = linked_events(&self.stream, end, (&Actor::Engine, shared.now()), encoded);
        let append = Append {
            stream: self.stream.clone(),
            expected: self.version,
            previous: self.hash,
            events: linked,
            dedup: None,
            fence: shared.config.fence,
            // What a crash leaves undone the runs say again; those that are over are asked.
            note: StreamNote { open: true, busy: after.reserved().next().is_some(), wake_at: None },
        };
        Ok((append, after))
    }
}
