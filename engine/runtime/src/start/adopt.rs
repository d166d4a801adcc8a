//! Histories that were recorded elsewhere become runs of this store.
//!
//! Laws:
//! - Only a history that has ended, and that the core decided, is brought over: its events keep payload, time, actor and
//!   cause, and have the flag `imported`. So nothing of it is started here, and nobody is told of it.
//! - A history that one append does not hold comes in several, each with the note of a run that has ended: one that a
//!   crash cut off is never started, and the same history completes it. What is there already is never written again,
//!   and another history under the same run is refused.
//! - The key that the run has at its end is its own here, too; where another run has or had that key, nothing is
//!   brought over.

use std::sync::Arc;

use crate::engine::handle::Engine;
use crate::load::decode;
use crate::runtime::Runtime;
use everfold_base::blobs::Blobs;
use everfold_base::envelope::{Envelope, EventHeader, NewEvent, StreamId, flag};
use everfold_base::id::{AttemptId, EffectId, RunId, StepPath, Version};
use everfold_base::json::Hash;
use everfold_core::slots::{SlotEvent, identity_stream};
use everfold_language::definition::Definition;
use everfold_ports::{NameFailure, NameRequest};
use everfold_store::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, AppendError, EventStore, StreamHead};

/// Payloads of one append, without headers.
const BATCH_BYTES: usize = APPEND_BYTES_MAX / 2;
/// The longest history that is brought over.
pub const HISTORY_EVENTS_MAX: usize = 50_000;

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
    /// The run that asked last for its key since, if one did.
    pub key_used_by: Option<RunId>,
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
    /// It is longer than what is brought over.
    #[error("it has over {HISTORY_EVENTS_MAX} events, which are the most that are brought over")]
    TooLong,
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
    There { used_by: Option<RunId> },
}

impl Engine {
    /// Brings a history over that was recorded elsewhere.
    ///
    /// # Errors
    /// [`AdoptError`]; nothing of the history is there then.
    pub async fn adopt(&self, history: ForeignHistory<'_>) -> Result<Adoption, AdoptError> {
        self.inner.shared.adopt(history).await
    }

    /// Passes the name of a step to the same step of the run that continues the first run: `from` and `to` are the runs,
    /// each with what its step wishes. Without a name of the first step the call changes nothing.
    ///
    /// # Errors
    /// [`NameFailure::Store`]
    pub async fn pass_name(
        &self,
        scope: &str,
        from: (RunId, &str),
        to: (RunId, &str),
        path: &StepPath,
    ) -> Result<(), NameFailure> {
        let shared = &self.inner.shared;
        shared.names.pass(shared, scope, (from, to), path).await
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
        let mut imported = imported(&events);
        let there = self.store.head(&stream).await.map_err(failed)?;
        let known = there.map_or(0, |there| usize::try_from(there.version.0).unwrap_or(usize::MAX));
        let known_hash = known.checked_sub(1).and_then(|at| imported.get(at)).map(|event| event.hash);
        if let Some(there) = there.filter(|there| Some(there.hash) != known_hash) {
            return Err(AdoptError::Differs { there: there.version, given: head.version });
        }
        let missing = imported.split_off(known);
        let adopted = if missing.is_empty() {
            Adopted::There
        } else {
            self.definitions.save(&history.definition).await.map_err(failed)?;
            self.bring_values(&history, &events).await?;
            self.bring(stream, (Version(known as u64), known_hash), missing, &head).await?;
            Adopted::New(events.len() as u64)
        };
        // Behind the run: a key is never held by a run that is not there.
        let key_used_by = match key {
            Some(ForeignKey::Absent { stream, head, events }) => {
                self.bring(stream, (Version::ZERO, None), events, &head).await?;
                None
            }
            Some(ForeignKey::There { used_by }) => used_by,
            None => None,
        };
        Ok(Adoption { adopted, key_used_by })
    }

    /// How the key stands here.
    async fn key_events(&self, foreign: &dyn EventStore, stream: StreamId) -> Result<ForeignKey, AdoptError> {
        let events = events_of(foreign, &stream).await?;
        let head = foreign.head(&stream).await.map_err(failed)?.ok_or(AdoptError::NotEnded)?;
        let mut there = self.store.read(&stream, Version::FIRST, APPEND_EVENTS_MAX).await.map_err(failed)?;
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
        if !is_same {
            return Err(AdoptError::KeyTaken);
        }
        let mut used_by = None;
        while let Some(last) = there.last() {
            let since = there.iter().filter(|envelope| envelope.header.version.0 > events.len() as u64);
            for envelope in since {
                used_by = asked_by(envelope)?.or(used_by);
            }
            let next = last.header.version.next();
            there = self.store.read(&stream, next, APPEND_EVENTS_MAX).await.map_err(failed)?;
        }
        Ok(ForeignKey::There { used_by })
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

    /// Appends what is missing behind a version with its hash.
    async fn bring(
        &self,
        stream: StreamId,
        (mut expected, previous): (Version, Option<Hash>),
        events: Vec<NewEvent>,
        head: &StreamHead,
    ) -> Result<(), AdoptError> {
        let mut previous = previous.unwrap_or(Hash::ZERO);
        for events in batches(events) {
            let behind = (Version(expected.0 + events.len() as u64), events.last().map(|event| event.hash));
            let append = Append {
                stream: stream.clone(),
                expected,
                previous,
                events,
                dedup: None,
                fence: self.config.fence,
                note: head.note,
            };
            match self.store.append(append).await {
                Ok(_) => {}
                Err(AppendError::Full) => return Err(AdoptError::Full),
                Err(error) => return Err(failed(error)),
            }
            (expected, previous) = (behind.0, behind.1.unwrap_or(previous));
        }
        Ok(())
    }
}

/// All events of a stream.
async fn events_of(store: &dyn EventStore, stream: &StreamId) -> Result<Vec<Envelope>, AdoptError> {
    let mut events: Vec<Envelope> = Vec::new();
    loop {
        let next = events.last().map_or(Version::FIRST, |last| last.header.version.next());
        let page = store.read(stream, next, APPEND_EVENTS_MAX).await.map_err(failed)?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
        if events.len() > HISTORY_EVENTS_MAX {
            return Err(AdoptError::TooLong);
        }
    }
}

/// The events in parts of which each fits one append.
fn batches(events: Vec<NewEvent>) -> Vec<Vec<NewEvent>> {
    let mut batches: Vec<Vec<NewEvent>> = Vec::new();
    let mut bytes = usize::MAX;
    for event in events {
        let more = event.payload.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < APPEND_EVENTS_MAX && bytes.saturating_add(more) <= BATCH_BYTES => {
                bytes += more;
                batch.push(event);
            }
            _full => {
                bytes = more;
                batches.push(vec![event]);
            }
        }
    }
    batches
}

/// The run that an event of a key says asks for it or has it.
fn asked_by(envelope: &Envelope) -> Result<Option<RunId>, AdoptError> {
    let header = &envelope.header;
    Ok(match SlotEvent::decode(header.kind, header.schema, &envelope.payload).map_err(failed)? {
        SlotEvent::SlotRequested(event) => Some(event.run),
        SlotEvent::SlotGranted(event) => Some(event.run),
        SlotEvent::SlotShared(event) => Some(event.run),
        SlotEvent::SlotReleased(_) => None,
    })
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
