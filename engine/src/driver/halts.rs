//! Keeps the stream of pauses of pipelines and of the engine, and tells the runs.
//!
//! Law (S9): what is paused is durable on its own stream first; each run is told by an input of its
//! own, at least once: when it is loaded, when it is gone on with, and when the pauses change. A run
//! whose state does not say so yet starts nothing.

use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt as _;
use tokio::sync::{Mutex, OnceCell, oneshot};

use super::message::Message;
use super::{Engine, SubmitError};
use crate::actor::Actor;
use crate::clock::{Chance, Clock};
use crate::envelope::{Cause, EventHeader, NewEvent, StreamId, StreamKind};
use crate::event::HaltScope;
use crate::halts::{HaltEvent, HaltRefusal, Halts, Wanted};
use crate::id::{InputId, Position, RunId, Version};
use crate::json::Hash;
use crate::store::{Append, AppendError, EventStore, ReadError, StreamNote};

/// Events of the stream that are read at once.
const PAGE: usize = 1_000;
/// Runs that are told at once.
const TELLING_MAX: usize = 256;

/// Why a pause was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HaltError {
    /// It makes no sense now.
    #[error(transparent)]
    Refused(#[from] HaltRefusal),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The stream holds what this Everfold cannot read.
    #[error("the stream engine/halts cannot be read: {0}")]
    Unreadable(String),
}

/// A pause, or the end of one, that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halting {
    /// The place of the event.
    pub position: Position,
    /// Something was recorded; false where it was so already.
    pub changed: bool,
    /// Unended runs that were looked at.
    pub runs: usize,
}

/// The pauses in force, and where their stream ends.
pub(super) struct HaltBook {
    store: Arc<dyn EventStore>,
    clock: Clock,
    chance: Chance,
    read: OnceCell<()>,
    current: RwLock<Arc<Halts>>,
    end: Mutex<End>,
}

#[derive(Debug, Clone, Copy, Default)]
struct End {
    version: Version,
    hash: Hash,
    position: Position,
}

impl HaltBook {
    pub(super) fn new(store: Arc<dyn EventStore>, clock: Clock, chance: Chance) -> Self {
        Self {
            store,
            clock,
            chance,
            read: OnceCell::new(),
            current: RwLock::default(),
            end: Mutex::default(),
        }
    }

    /// The pauses in force.
    pub(super) fn current(&self) -> Arc<Halts> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the stream, once: before any run is started or loaded.
    pub(super) async fn ensure(&self) -> Result<(), HaltError> {
        self.read.get_or_try_init(|| self.read_stream()).await.copied()
    }

    async fn read_stream(&self) -> Result<(), HaltError> {
        let (halts, end) = self.fold().await?;
        *self.end.lock().await = end;
        self.publish(halts);
        Ok(())
    }

    /// The pauses as the stream says them, and where it ends.
    async fn fold(&self) -> Result<(Halts, End), HaltError> {
        let (mut halts, mut end) = (Halts::default(), End::default());
        // Hardly ever is there one, and whether costs less than to read it.
        let mut is_there = self.store.head(&stream()).await?.is_some();
        while is_there {
            let page = self.store.read(&stream(), end.version.next(), PAGE).await?;
            for envelope in &page {
                let header = &envelope.header;
                let event = HaltEvent::decode(header.kind, header.schema, &envelope.payload)
                    .map_err(HaltError::Unreadable)?;
                halts.apply(&event, &header.actor.to_string(), header.recorded_at);
                end = End { version: header.version, hash: envelope.hash, position: envelope.position };
            }
            is_there = page.len() == PAGE;
        }
        Ok((halts, end))
    }

    fn publish(&self, halts: Halts) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(halts);
    }

    /// Records a change; its place, and whether there was one.
    async fn change(
        &self,
        wanted: Wanted,
        scope: &HaltScope,
        reason: Option<&str>,
        actor: Actor,
    ) -> Result<(Position, bool), HaltError> {
        self.ensure().await?;
        // One change at a time; the only writer of this stream is the owner of the store.
        let mut end = self.end.lock().await;
        let mut halts = Halts::clone(&self.current());
        let Some(event) = halts.decide(wanted, scope, reason)? else { return Ok((end.position, false)) };
        let (kind, schema, payload) = event.encode().map_err(HaltError::Unreadable)?;
        let at = (self.clock)();
        let header = EventHeader {
            stream: stream(),
            version: end.version.next(),
            recorded_at: at,
            actor: actor.clone(),
            cause: Cause { input: InputId((self.chance)().to_le_bytes()), because: end.version },
            kind,
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let new = NewEvent::link(header, payload, &end.hash);
        let hash = new.hash;
        let append = Append {
            stream: stream(),
            expected: end.version,
            previous: end.hash,
            events: vec![new],
            dedup: None,
            fence: None,
            note: StreamNote::default(),
        };
        let appended = match self.store.append(append).await {
            Ok(appended) => appended,
            Err(error) => {
                // What became of it, the stream alone knows; whoever repeats this finds it out.
                if let Ok((kept, now)) = self.fold().await {
                    *end = now;
                    self.publish(kept);
                }
                return Err(error.into());
            }
        };
        *end = End { version: appended.last_version(), hash, position: appended.last_position() };
        halts.apply(&event, &actor.to_string(), at);
        self.publish(halts);
        Ok((end.position, true))
    }
}

fn stream() -> StreamId {
    StreamId::engine("halts")
}

impl Engine {
    /// The pauses in force.
    ///
    /// # Errors
    /// [`HaltError`]: their stream cannot be read.
    pub async fn halts(&self) -> Result<Arc<Halts>, HaltError> {
        let book = &self.inner.shared.halts;
        book.ensure().await?;
        Ok(book.current())
    }

    /// Pauses a pipeline or the whole engine, or ends such a pause. Resolves when that is durable and
    /// every unended run that is concerned has been told.
    ///
    /// # Errors
    /// [`HaltError`].
    pub async fn halt(
        &self,
        wanted: Wanted,
        scope: HaltScope,
        reason: Option<&str>,
        actor: Actor,
    ) -> Result<Halting, HaltError> {
        let (position, changed) = self.inner.shared.halts.change(wanted, &scope, reason, actor).await?;
        // Also where nothing changed: an engine that ended in the middle has not told them all.
        let runs = self.tell_runs(wanted).await?;
        Ok(Halting { position, changed, runs })
    }

    /// Has every unended run look at the pauses.
    async fn tell_runs(&self, wanted: Wanted) -> Result<usize, HaltError> {
        let shared = &self.inner.shared;
        // Whoever looks after all runs goes on with those that may go on now.
        let drives =
            wanted == Wanted::Release && shared.wakes.attended.load(std::sync::atomic::Ordering::Acquire);
        let (mut after, mut told) = (None, 0);
        loop {
            let page = shared.store.streams(StreamKind::Run, after, PAGE).await?;
            let open: Vec<RunId> =
                page.iter().filter(|(_, head)| head.note.open).filter_map(|(id, _)| id.as_run()).collect();
            told += open.len();
            let mut telling = futures::stream::iter(open.into_iter().map(|run| self.align(run, drives)))
                .buffer_unordered(TELLING_MAX);
            while let Some(told) = telling.next().await {
                if told.is_err() {
                    return Ok(0); // The engine ends; the next one tells them.
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.clone()),
                _ => return Ok(told),
            }
        }
    }

    async fn align(&self, run: RunId, drives: bool) -> Result<(), SubmitError> {
        let (done, aligned) = oneshot::channel();
        self.inner.shared.send(run, Message::Align { run, drives, done }).await?;
        aligned.await.map(drop).map_err(|_| SubmitError::ShuttingDown)
    }
}
