//! One key of the slot allocator: its folded stream, and the appends to it.

use std::collections::BTreeSet;

use crate::deps::Deps;
use crate::error::QueryError;
use crate::streams::linked_events::linked_events;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_core::event::{SlotKind, WantedSlot};
use everfold_core::slots::{SlotEvent, SlotInput, SlotState, decide, in_order};
use everfold_language::words::{OnTaken, Release};
use everfold_store::{Append, AppendError, StreamNote};

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A key's state and where its stream ends.
pub(crate) struct KeyStream {
    pub(crate) state: SlotState,
    stream: StreamId,
    version: Version,
    hash: Hash,
}

/// Why the slot allocator cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotError {
    /// The stream is not what this engine left.
    #[error("the key's stream changed under the desk")]
    Changed,
    /// The key cannot be read, or the store does not take it.
    #[error("{0}")]
    Store(String),
    /// The store takes nothing more.
    #[error("the store is closed")]
    Closed,
}

impl KeyStream {
    /// Folds a key's stream.
    pub(crate) async fn load(shared: &Deps, stream: &StreamId) -> Result<Self, SlotError> {
        let failed = |error: String| SlotError::Store(format!("{stream}: {error}"));
        let mut key = Self {
            state: SlotState::default(),
            stream: stream.clone(),
            version: Version::ZERO,
            hash: Hash::ZERO,
        };
        loop {
            let page = shared.store.read(stream, key.version.next(), PAGE).await;
            let page = page.map_err(|error| failed(error.to_string()))?;
            for envelope in &page {
                let header = &envelope.header;
                let event = SlotEvent::decode(header.kind, header.schema, &envelope.payload);
                key.state.apply(&event.map_err(|error| failed(error.to_string()))?);
                (key.version, key.hash) = (header.version, envelope.hash);
            }
            if page.len() < PAGE {
                return Ok(key);
            }
        }
    }

    /// Where its events stand.
    pub(crate) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Decides, and makes durable what follows. With [`SlotError::Changed`] the key is to be loaded anew.
    pub(crate) async fn give(
        &mut self,
        shared: &Deps,
        input: &SlotInput,
        reserved: usize,
        still: &BTreeSet<RunId>,
    ) -> Result<Vec<SlotEvent>, SlotError> {
        let events = decide(&self.state, input, reserved, still);
        if events.is_empty() {
            return Ok(events);
        }
        loop {
            let (append, after) = self.append_of(shared, &events)?;
            let (version, hash) = append
                .events
                .last()
                .map_or((self.version, self.hash), |last| (last.header.version, last.hash));
            match shared.store.append(append).await {
                Ok(_) => {
                    let is_last =
                        |event: &SlotEvent| shared.config.crash_after.as_deref() == Some(event.name());
                    if events.iter().any(is_last) {
                        crate::crash_point::abort_process();
                    }
                    (self.state, self.version, self.hash) = (after, version, hash);
                    return Ok(events);
                }
                Err(AppendError::Full | AppendError::ReadOnly(_)) => {
                    shared.until_writable().await.ok_or(SlotError::Closed)?;
                }
                Err(
                    AppendError::WrongExpectedVersion { .. }
                    | AppendError::WrongPreviousHash { .. }
                    | AppendError::Unknown(_),
                ) => return Err(SlotError::Changed),
                Err(AppendError::Closed | AppendError::NotOurs(_) | AppendError::Fenced { .. }) => {
                    return Err(SlotError::Closed);
                }
                Err(error) => return Err(SlotError::Store(error.to_string())),
            }
        }
    }

    fn append_of(&self, shared: &Deps, events: &[SlotEvent]) -> Result<(Append, SlotState), SlotError> {
        let mut after = self.state.clone();
        events.iter().for_each(|event| after.apply(event));
        let encoded: Result<Vec<_>, _> = events.iter().map(SlotEvent::encode).collect();
        let encoded = encoded.map_err(|error| SlotError::Store(error.to_string()))?;
        let end = (self.version, self.hash);
        let linked = linked_events(&self.stream, end, (&Actor::Engine, shared.now()), encoded);
        let note = StreamNote { open: !after.is_free(), busy: after.is_busy(), wake_at: None };
        let append = Append {
            stream: self.stream.clone(),
            expected: self.version,
            previous: self.hash,
            events: linked,
            dedup: None,
            fence: shared.config.fence,
            note,
        };
        Ok((append, after))
    }
}

/// The run that has a key as its identity or, where several want it, the newest that does. It may have
/// ended: whether it has is for the caller to look at.
pub(crate) async fn claimant(shared: &Deps, key: &str) -> Result<Option<RunId>, QueryError> {
    let kind = SlotKind::Identity { release: Release::default(), on_taken: OnTaken::default() };
    let (stream, _) = in_order(&[WantedSlot { key: key.to_owned(), kind }]).remove(0);
    let key = crate::streams::slots::key_stream::KeyStream::load(shared, &stream).await;
    let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
    Ok(state.claimant())
}
