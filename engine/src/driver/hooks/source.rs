//! One source at the desk: its folded stream, and the appends to it.

use super::super::shared::Shared;
use super::super::triggers::{By, Encoded, Tail, TailError};
use crate::envelope::Envelope;
use crate::hooks::{FOLD_VERSION, HookEvent, HookState, stream};
use crate::id::Position;
use crate::store::StreamNote;
use crate::time::Timestamp;

/// A source's state and where its stream ends.
pub(super) struct Source {
    pub(super) state: HookState,
    pub(super) tail: Tail,
}

/// Reads an event of a source.
pub(super) fn decoded(envelope: &Envelope) -> Result<HookEvent, String> {
    let header = &envelope.header;
    HookEvent::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
}

impl Source {
    /// Folds a source's stream.
    pub(super) async fn load(shared: &Shared, name: &str) -> Result<Self, TailError> {
        let fold = |state: &mut HookState, envelope: &Envelope| {
            let header = &envelope.header;
            state.apply(header.version, header.recorded_at, &decoded(envelope)?);
            Ok(())
        };
        let (tail, state) = Tail::load(shared, stream(name), FOLD_VERSION, fold).await?;
        Ok(Self { state, tail })
    }

    /// The time that what is decided now is recorded with.
    pub(super) fn now(&self, shared: &Shared) -> Timestamp {
        self.tail.now(shared)
    }

    /// Makes a fact durable. With [`TailError::Changed`] the source is to be loaded anew.
    pub(super) async fn record(
        &mut self,
        shared: &Shared,
        by: &By,
        at: Timestamp,
        event: &HookEvent,
    ) -> Result<Position, TailError> {
        let (kind, schema, bytes) = event.encode().map_err(|error| TailError::Store(error.to_string()))?;
        let is_busy = self.state.is_busy_with(event);
        let note = StreamNote { open: is_busy, busy: is_busy, wake_at: None };
        let encoded = vec![Encoded { name: event.name(), kind, schema, bytes }];
        let appended = self.tail.append(shared, by, at, encoded, note).await?;
        if appended.repeated {
            return Ok(appended.last_position()); // It is folded already.
        }
        self.state.apply(self.tail.version, at, event);
        self.tail.keep(shared, FOLD_VERSION, &self.state, self.state.remembered()).await;
        Ok(appended.last_position())
    }
}
