//! Histories that were recorded elsewhere become runs of this store.
//!
//! Laws:
//! - Only a history that has ended, and that the core decided, is brought over: its events keep payload, time, actor and
//!   cause, and have the flag `imported`. So nothing of it is started here, and nobody is told of it.
//! - A history is one append: it is there wholly or not at all. What is there already is never written again, and
//!   another history under the same run is refused.
//! - The key that the run has at its end is its own here, too; where another run has or had that key, nothing is
//!   brought over.

use std::sync::Arc;

use crate::engine::handle::Engine;
use crate::load::decode;
use crate::runtime::Runtime;
use everfold_base::blobs::Blobs;
use everfold_base::envelope::{Envelope, EventHeader, NewEvent, StreamId, flag};
use everfold_base::id::{AttemptId, EffectId, RunId, Version};
use everfold_base::json::Hash;
use everfold_core::slots::identity_stream;
use everfold_language::definition::Definition;
use everfold_ports::{NameFailure, NameRequest};
use everfold_store::{APPEND_EVENTS_MAX, Append, AppendError, EventStore, StreamHead};

/// A history in another store.
pub struct ForeignHistory<'a> {
    /// The store that holds it.
    pub store: &'a dyn EventStore,
    /// Its values that are too large for events.
    pub blobs: &'a dyn Blobs,
    /// The run, there and here.
    pub run: RunId,
    /// What it was recorded with.
    pub definition: Arc<Definition>,
    /// The key that the run asked for.
    pub key: Option<String>,
}

/// What became of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It was brought over: so many events.
    New(u64),
    /// It was there before, event for event.
    There,
}

/// What became of a history and of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adoption {
    /// The history.
    pub adopted: Adopted,
    /// Another run has asked for its key since.
    pub key_used_since: bool,
}

/// Why a history is not brought over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// Another history of the run is there.
    #[error("another history of the run is there: {there} events, not {given}")]
    Differs {
        /// Events that are there.
        there: Version,
        /// Events that were given.
        given: Version,
    },
    /// Another run has its key, or had it.
    #[error("another run has used its key")]
    KeyTaken,
    /// It is longer than one append.
    #[error("its {0} events are more than the {APPEND_EVENTS_MAX} of one append")]
    TooLong(usize),
    /// It goes on.
    #[error("the history has not ended")]
    NotEnded,
    /// The disk is full.
    #[error("no space is left on the disk")]
    Full,
    /// It cannot be read or written.
    #[error("{0}")]
    Store(String),
}

/// How the key of a history stands here.
enum ForeignKey {
    /// Nobody has asked for it: these events are to be brought over.
    Absent { stream: StreamId, head: StreamHead, events: Vec<NewEvent> },
    /// It was brought over.
    There { used_since: bool },
}

impl Engine {
    /// Brings a history over that was recorded elsewhere.
    ///
    /// # Errors
    /// [`AdoptError`]; nothing of the history is there then.
    pub async fn adopt(&self, history: ForeignHistory<'_>) -> Result<Adoption, AdoptError> {
        self.inner.shared.adopt(history).await
    }

    /// Gives the step of a run a name in a scope, as a function of that step would ask for it: the same name again
    /// where it was given before.
    ///
    /// # Errors
    /// [`NameFailure`]
    pub async fn give_name(
        &self,
        run: RunId,
        attempt: AttemptId,
        request: &NameRequest,
    ) -> Result<String, NameFailure> {
        let shared = &self.inner.shared;
        shared.names.take(shared, &EffectId { run, attempt }, request).await
    }
}

impl Runtime {
    async fn adopt(&self, history: ForeignHistory<'_>) -> Result<Adoption, AdoptError> {
        let stream = StreamId::run(history.run);
        let events = events_of(history.store, &stream).await?;
        let head = history.store.head(&stream).await.map_err(failed)?;
        let head = head.filter(|head| !head.note.open && !head.note.busy).ok_or(AdoptError::NotEnded)?;
        let key = match &history.key {
            Some(key) => Some(self.key_events(history.store, identity_stream(key)).await?),
            None => None,
        };
        let imported = imported(&events);
        let adopted = match self.store.head(&stream).await.map_err(failed)? {
            Some(there) if Some(there.hash) == imported.last().map(|event| event.hash) => Adopted::There,
            Some(there) => {
                return Err(AdoptError::Differs { there: there.version, given: head.version });
            }
            None => {
                self.definitions.save(&history.definition).await.map_err(failed)?;
                self.bring_values(&history, &events).await?;
                let count = imported.len() as u64;
                self.bring(stream, imported, &head).await?;
                Adopted::New(count)
            }
        };
        // Behind the run: a key is never held by a run that is not there.
        let key_used_since = match key {
            Some(ForeignKey::Absent { stream, head, events }) => {
                self.bring(stream, events, &head).await?;
                false
            }
            Some(ForeignKey::There { used_since }) => used_since,
            None => false,
        };
        Ok(Adoption { adopted, key_used_since })
    }

    /// How the key stands here.
    async fn key_events(&self, foreign: &dyn EventStore, stream: StreamId) -> Result<ForeignKey, AdoptError> {
        let events = events_of(foreign, &stream).await?;
        let head = foreign.head(&stream).await.map_err(failed)?.ok_or(AdoptError::NotEnded)?;
        let there = self.store.read(&stream, Version::FIRST, APPEND_EVENTS_MAX).await.map_err(failed)?;
        if there.is_empty() {
            let same = |envelope: Envelope| NewEvent {
                header: envelope.header,
                hash: envelope.hash,
                payload: envelope.payload,
            };
            return Ok(ForeignKey::Absent { stream, head, events: events.into_iter().map(same).collect() });
        }
        let is_same = there.len() >= events.len()
            && there.iter().zip(&events).all(|(there, given)| there.hash == given.hash);
        match is_same {
            true => Ok(ForeignKey::There { used_since: there.len() > events.len() }),
            false => Err(AdoptError::KeyTaken),
        }
    }

    async fn bring_values(
        &self,
        history: &ForeignHistory<'_>,
        events: &[Envelope],
    ) -> Result<(), AdoptError> {
        for envelope in events {
            let event = decode(history.run, envelope).map_err(failed)?;
            for blob in event.blobs() {
                let bytes = history.blobs.get(history.run, &blob).map_err(failed)?;
                let (blobs, run) = (Arc::clone(&self.blobs), history.run);
                let put = self.config.blocking.run(move || blobs.put(run, &bytes).map(drop)).await;
                put.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| match error
                    .kind()
                {
                    std::io::ErrorKind::StorageFull => AdoptError::Full,
                    _other => failed(error),
                })?;
            }
        }
        Ok(())
    }

    async fn bring(
        &self,
        stream: StreamId,
        events: Vec<NewEvent>,
        head: &StreamHead,
    ) -> Result<(), AdoptError> {
        let append = Append {
            stream,
            expected: Version::ZERO,
            previous: Hash::ZERO,
            events,
            dedup: None,
            fence: self.config.fence,
            note: head.note,
        };
        match self.store.append(append).await {
            Ok(_) => Ok(()),
            Err(AppendError::Full) => Err(AdoptError::Full),
            Err(error) => Err(failed(error)),
        }
    }
}

/// All events of a stream that fit one append.
async fn events_of(store: &dyn EventStore, stream: &StreamId) -> Result<Vec<Envelope>, AdoptError> {
    let events = store.read(stream, Version::FIRST, APPEND_EVENTS_MAX + 1).await.map_err(failed)?;
    if events.len() > APPEND_EVENTS_MAX { Err(AdoptError::TooLong(events.len())) } else { Ok(events) }
}

/// The events of a run with the flag, in a chain of their own.
fn imported(events: &[Envelope]) -> Vec<NewEvent> {
    let mut hash = Hash::ZERO;
    let link = |envelope: &Envelope| {
        let flags = envelope.header.flags | flag::IMPORTED;
        let header = EventHeader { flags, ..envelope.header.clone() };
        let event = NewEvent::link(header, envelope.payload.clone(), &hash);
        hash = event.hash;
        event
    };
    events.iter().map(link).collect()
}

fn failed(error: impl std::fmt::Display) -> AdoptError {
    AdoptError::Store(error.to_string())
}
