//! The stream of one key: its folded state, and the appends to it.

use std::collections::BTreeSet;

use crate::deps::Deps;
use crate::error::QueryError;
use crate::streams::stream_writer::{StreamError, StreamWriter, stored_events};
use crate::streams::triggers::by::By;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::RunId;
use everfold_core::event::{SlotKind, WantedSlot};
use everfold_core::slots::{SlotEvent, SlotInput, SlotState, decide, in_order};
use everfold_language::words::{OnTaken, Release};
use everfold_store::StreamNote;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A key's state and the writer of its stream.
pub(crate) struct KeyStream {
    pub(crate) state: SlotState,
    writer: StreamWriter,
}

impl KeyStream {
    /// Folds a key's stream.
    pub(crate) async fn load(shared: &Deps, stream: &StreamId) -> Result<Self, StreamError> {
        let (mut writer, mut state) = (StreamWriter::unread(stream.clone()), SlotState::default());
        let fold = |envelope: &Envelope| {
            let header = &envelope.header;
            let event = SlotEvent::decode(header.kind, header.schema, &envelope.payload);
            state.apply(&event.map_err(|error| error.to_string())?);
            Ok(())
        };
        writer.read_on(shared, PAGE, fold).await?;
        Ok(Self { state, writer })
    }

    /// The id of the stream.
    pub(crate) fn stream(&self) -> &StreamId {
        self.writer.stream()
    }

    /// Decides on an input, and makes durable what follows. `reserved` slots count as held, and the `paused` runs are
    /// passed over in the queue. With [`StreamError::Changed`] the key is to be loaded anew.
    pub(crate) async fn record(
        &mut self,
        shared: &Deps,
        input: &SlotInput,
        reserved: usize,
        paused: &BTreeSet<RunId>,
    ) -> Result<Vec<SlotEvent>, StreamError> {
        let events = decide(&self.state, input, reserved, paused);
        if events.is_empty() {
            return Ok(events);
        }
        let mut after = self.state.clone();
        events.iter().for_each(|event| after.apply(event));
        let stored = stored_events(&events, SlotEvent::name, SlotEvent::encode)?;
        let note = StreamNote { open: !after.is_free(), busy: after.is_busy(), wake_at: None };
        self.writer.append(shared, &By::from(Actor::Engine), shared.now(), stored, note).await?;
        self.state = after;
        Ok(events)
    }
}

/// The run that has a key as its identity or, where several want it, the newest that does. It may have
/// ended: whether it has is for the caller to look at.
pub(crate) async fn claimant(shared: &Deps, key: &str) -> Result<Option<RunId>, QueryError> {
    let kind = SlotKind::Identity { release: Release::default(), on_taken: OnTaken::default() };
    let (stream, _) = in_order(&[WantedSlot { key: key.to_owned(), kind }]).remove(0);
    let key = KeyStream::load(shared, &stream).await;
    Ok(key.map_err(|error| QueryError::Store(error.to_string()))?.state.claimant())
}
