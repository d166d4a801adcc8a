//! One counter of the treasury: its folded stream, and the appends to it.

use super::super::shared::Shared;
use crate::actor::Actor;
use crate::budgets::{Counter, CounterEvent, CounterInput, decide};
use crate::envelope::{Cause, EventHeader, NewEvent, StreamId};
use crate::event::{BudgetTerms, Measure};
use crate::id::{InputId, Version};
use crate::json::Hash;
use crate::store::{Append, AppendError, StreamNote};

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A counter and where its stream ends.
pub(super) struct Book {
    pub(super) counter: Counter,
    stream: StreamId,
    version: Version,
    hash: Hash,
}

/// Why the treasurer cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BookError {
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

impl Book {
    /// A counter of which nothing was read yet.
    pub(super) fn unread(stream: StreamId) -> Self {
        Self { counter: Counter::default(), stream, version: Version::ZERO, hash: Hash::ZERO }
    }

    /// Folds a counter's stream.
    pub(super) async fn load(shared: &Shared, stream: &StreamId) -> Result<Self, BookError> {
        let mut book = Self::unread(stream.clone());
        book.read_on(shared).await?;
        Ok(book)
    }

    /// Folds what was added to the stream since it was read.
    pub(super) async fn read_on(&mut self, shared: &Shared) -> Result<(), BookError> {
        let failed = |stream: &StreamId, error: String| BookError::Store(format!("{stream}: {error}"));
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

    /// Decides, and makes durable what follows. With [`BookError::Changed`] the counter is to be loaded
    /// anew.
    pub(super) async fn give(
        &mut self,
        shared: &Shared,
        terms: &BudgetTerms,
        input: &CounterInput,
    ) -> Result<Result<(), Measure>, BookError> {
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
                        super::super::shard::die();
                    }
                    (self.version, self.hash) = last.unwrap_or((self.version, self.hash));
                    self.counter = after;
                    return Ok(found);
                }
                Err(AppendError::Full | AppendError::ReadOnly(_)) => {
                    shared.until_writable().await.ok_or(BookError::Closed)?;
                }
                Err(
                    AppendError::WrongExpectedVersion { .. }
                    | AppendError::WrongPreviousHash { .. }
                    | AppendError::Unknown(_),
                ) => return Err(BookError::Changed),
                Err(AppendError::Closed | AppendError::NotOurs(_) | AppendError::Fenced { .. }) => {
                    return Err(BookError::Closed);
                }
                Err(error) => return Err(BookError::Store(error.to_string())),
            }
        }
    }

    fn append_of(&self, shared: &Shared, events: &[CounterEvent]) -> Result<(Append, Counter), BookError> {
        let about = format!("{}/{}", self.stream, self.version);
        let cause = Cause { input: InputId::derive(&about), because: self.version };
        let (mut version, mut hash, mut after) = (self.version, self.hash, self.counter.clone());
        let mut linked = Vec::with_capacity(events.len());
        for event in events {
            let (kind, schema, payload) =
                event.encode().map_err(|error| BookError::Store(error.to_string()))?;
            version = version.next();
            let header = EventHeader {
                stream: self.stream.clone(),
                version,
                recorded_at: shared.now(),
                actor: Actor::Engine,
                cause,
                kind,
                schema,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let event_linked = NewEvent::link(header, payload, &hash);
            hash = event_linked.hash;
            linked.push(event_linked);
            after.apply(event);
        }
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
