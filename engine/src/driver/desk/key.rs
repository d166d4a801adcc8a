//! One key at the desk: its folded stream, and the appends to it.

use std::collections::BTreeSet;

use super::super::shared::Shared;
use crate::actor::Actor;
use crate::envelope::{Cause, EventHeader, NewEvent, StreamId};
use crate::id::{InputId, RunId, Version};
use crate::json::Hash;
use crate::keys::{KeyEvent, KeyInput, KeyState, decide};
use crate::store::{Append, AppendError, StreamNote};

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A key's state and where its stream ends.
pub(super) struct Key {
    pub(super) state: KeyState,
    stream: StreamId,
    version: Version,
    hash: Hash,
}

/// Why the desk cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeskError {
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

impl Key {
    /// Folds a key's stream.
    pub(super) async fn load(shared: &Shared, stream: &StreamId) -> Result<Self, DeskError> {
        let failed = |error: String| DeskError::Store(format!("{stream}: {error}"));
        let mut key = Self {
            state: KeyState::default(),
            stream: stream.clone(),
            version: Version::ZERO,
            hash: Hash::ZERO,
        };
        loop {
            let page = shared.store.read(stream, key.version.next(), PAGE).await;
            let page = page.map_err(|error| failed(error.to_string()))?;
            for envelope in &page {
                let header = &envelope.header;
                let event = KeyEvent::decode(header.kind, header.schema, &envelope.payload);
                key.state.apply(&event.map_err(|error| failed(error.to_string()))?);
                (key.version, key.hash) = (header.version, envelope.hash);
            }
            if page.len() < PAGE {
                return Ok(key);
            }
        }
    }

    /// Where its events stand.
    pub(super) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Decides, and makes durable what follows. With [`DeskError::Changed`] the key is to be loaded anew.
    pub(super) async fn give(
        &mut self,
        shared: &Shared,
        input: &KeyInput,
        aside: usize,
        still: &BTreeSet<RunId>,
    ) -> Result<Vec<KeyEvent>, DeskError> {
        let events = decide(&self.state, input, aside, still);
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
                        |event: &KeyEvent| shared.config.crash_after.as_deref() == Some(event.name());
                    if events.iter().any(is_last) {
                        super::super::shard::die();
                    }
                    (self.state, self.version, self.hash) = (after, version, hash);
                    return Ok(events);
                }
                Err(AppendError::Full | AppendError::ReadOnly(_)) => {
                    shared.until_writable().await.ok_or(DeskError::Closed)?;
                }
                Err(
                    AppendError::WrongExpectedVersion { .. }
                    | AppendError::WrongPreviousHash { .. }
                    | AppendError::Unknown(_),
                ) => return Err(DeskError::Changed),
                Err(AppendError::Closed | AppendError::NotOurs(_) | AppendError::Fenced { .. }) => {
                    return Err(DeskError::Closed);
                }
                Err(error) => return Err(DeskError::Store(error.to_string())),
            }
        }
    }

    fn append_of(&self, shared: &Shared, events: &[KeyEvent]) -> Result<(Append, KeyState), DeskError> {
        let cause = Cause {
            input: InputId::derive(&format!("{}/{}", self.stream, self.version)),
            because: self.version,
        };
        let (mut version, mut hash, mut after) = (self.version, self.hash, self.state.clone());
        let mut linked = Vec::with_capacity(events.len());
        for event in events {
            let (kind, schema, payload) =
                event.encode().map_err(|error| DeskError::Store(error.to_string()))?;
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
