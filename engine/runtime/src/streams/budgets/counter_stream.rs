//! The stream of one counter: its folded state, and the appends to it.

use crate::deps::Deps;
use crate::streams::stream_writer::{StreamError, StreamWriter, stored_events};
use crate::streams::triggers::by::By;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::Position;
use everfold_core::budgets::{Counter, CounterEvent, CounterInput, decide};
use everfold_core::event::{BudgetTerms, Measure};
use everfold_store::StreamNote;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A counter and the writer of its stream.
pub(crate) struct CounterStream {
    pub(crate) counter: Counter,
    /// When it was used last, by the allocator's count of uses.
    pub(crate) used_at: u64,
    writer: StreamWriter,
}

impl CounterStream {
    /// A counter of which nothing was read yet.
    pub(crate) fn unread(stream: StreamId) -> Self {
        Self { counter: Counter::default(), used_at: 0, writer: StreamWriter::unread(stream) }
    }

    /// Folds a counter's stream.
    pub(crate) async fn load(shared: &Deps, stream: &StreamId) -> Result<Self, StreamError> {
        let mut counter_stream = Self::unread(stream.clone());
        counter_stream.read_on(shared).await?;
        Ok(counter_stream)
    }

    /// Folds what was added to the stream since it was read.
    pub(crate) async fn read_on(&mut self, shared: &Deps) -> Result<(), StreamError> {
        let counter = &mut self.counter;
        let fold = |envelope: &Envelope| {
            let header = &envelope.header;
            let event = CounterEvent::decode(header.kind, header.schema, &envelope.payload);
            counter.apply(&event.map_err(|error| error.to_string())?);
            Ok(())
        };
        self.writer.read_on(shared, PAGE, fold).await
    }

    /// Decides on an input, and makes durable what follows. With [`StreamError::Changed`] the counter is to be loaded
    /// anew.
    pub(crate) async fn record(
        &mut self,
        shared: &Deps,
        terms: &BudgetTerms,
        input: &CounterInput,
    ) -> Result<Result<(), Measure>, StreamError> {
        let (found, _position) = self.record_by(shared, terms, input, &By::from(Actor::Engine)).await?;
        Ok(found)
    }

    /// The same in the name of a request's actor; with the position of what was recorded, if anything was.
    pub(crate) async fn record_by(
        &mut self,
        shared: &Deps,
        terms: &BudgetTerms,
        input: &CounterInput,
        by: &By,
    ) -> Result<(Result<(), Measure>, Option<Position>), StreamError> {
        let (events, found) = decide(&self.counter, terms, input, shared.now());
        if events.is_empty() {
            return Ok((found, None));
        }
        let mut after = self.counter.clone();
        events.iter().for_each(|event| after.apply(event));
        let stored = stored_events(&events, CounterEvent::name, CounterEvent::encode)?;
        // What a crash leaves undone unended runs report again, and ended runs are compared with the counter.
        let note = StreamNote { open: true, busy: after.reserved().next().is_some(), wake_at: None };
        let appended = self.writer.append(shared, by, shared.now(), stored, note).await?;
        // A repeat is folded already.
        if !appended.repeated {
            self.counter = after;
        }
        Ok((found, Some(appended.last_position())))
    }
}
