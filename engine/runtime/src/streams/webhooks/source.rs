//! One source of the webhook actor: its folded stream, and the appends to it.

use crate::deps::Deps;
use crate::streams::stream_tail::{Encoded, StreamTail, TailError};
use crate::streams::triggers::by::By;
use everfold_base::envelope::Envelope;
use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_core::hooks::{FOLD_VERSION, HookEvent, HookState, stream};
use everfold_store::StreamNote;

/// A source's state and where its stream ends.
pub(crate) struct HookSource {
    pub(crate) state: HookState,
    pub(crate) tail: StreamTail,
}

/// Reads an event of a source.
pub(crate) fn decoded(envelope: &Envelope) -> Result<HookEvent, String> {
    let header = &envelope.header;
    HookEvent::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
}

impl HookSource {
    /// Folds a source's stream.
    pub(crate) async fn load(shared: &Deps, name: &str) -> Result<Self, TailError> {
        let fold = |state: &mut HookState, envelope: &Envelope| {
            let header = &envelope.header;
            state.apply(header.version, header.recorded_at, &decoded(envelope)?);
            Ok(())
        };
        let (tail, state) = StreamTail::load(shared, stream(name), FOLD_VERSION, fold).await?;
        Ok(Self { state, tail })
    }

    /// The time that what is decided now is recorded with.
    pub(crate) fn now(&self, shared: &Deps) -> Timestamp {
        self.tail.now(shared)
    }

    /// Makes a fact durable. With [`TailError::Changed`] the source is to be loaded anew.
    pub(crate) async fn record(
        &mut self,
        shared: &Deps,
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
