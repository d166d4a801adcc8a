//! The stream of one source of webhooks: its folded state, and the appends to it.

use crate::deps::Deps;
use crate::streams::stream_writer::{StreamError, StreamWriter, stored_events};
use crate::streams::triggers::by::By;
use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::hooks::{FOLD_VERSION, HookEvent, HookState, stream};
use everfold_store::StreamNote;

/// Events that are read at once: each may hold a body of 1 MiB.
const PAGE: usize = 50;

/// A source's state and the writer of its stream.
pub(crate) struct SourceStream {
    pub(crate) state: HookState,
    writer: StreamWriter,
}

/// Decodes an event of a source.
pub(crate) fn decoded(envelope: &Envelope) -> Result<HookEvent, String> {
    let header = &envelope.header;
    HookEvent::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
}

impl SourceStream {
    /// Folds a source's stream.
    pub(crate) async fn load(shared: &Deps, name: &str) -> Result<Self, StreamError> {
        let mut writer = StreamWriter::unread(stream(name));
        let mut state: HookState = writer.load_snapshot(shared, FOLD_VERSION).await?.unwrap_or_default();
        let fold = |envelope: &Envelope| {
            let header = &envelope.header;
            state.apply(header.version, header.recorded_at, &decoded(envelope)?);
            Ok(())
        };
        writer.read_on(shared, PAGE, fold).await?;
        Ok(Self { state, writer })
    }

    /// The version of the last event.
    pub(crate) fn version(&self) -> Version {
        self.writer.version()
    }

    /// The time that what is decided now is recorded with.
    pub(crate) fn now(&self, shared: &Deps) -> Timestamp {
        self.writer.now(shared)
    }

    /// Makes an event durable. With [`StreamError::Changed`] the source is to be loaded anew.
    pub(crate) async fn record(
        &mut self,
        shared: &Deps,
        by: &By,
        at: Timestamp,
        event: &HookEvent,
    ) -> Result<Position, StreamError> {
        let stored = stored_events(std::slice::from_ref(event), HookEvent::name, HookEvent::encode)?;
        let is_busy = self.state.is_busy_with(event);
        let note = StreamNote { open: is_busy, busy: is_busy, wake_at: None };
        let appended = self.writer.append(shared, by, at, stored, note).await?;
        if appended.repeated {
            return Ok(appended.last_position()); // It is folded already.
        }
        self.state.apply(self.writer.version(), at, event);
        self.writer.keep_snapshot(shared, FOLD_VERSION, &self.state, self.state.remembered()).await;
        Ok(appended.last_position())
    }
}
