//! The writer of a stream: reads it into a state, appends to its end, keeps snapshots of the state.
//!
//! Laws:
//! - An append is one batch of linked events. The end moves only after it is durable, and so does its owner's state.
//! - While the disk is full, or the store is read-only, the same append waits and is tried again.
//! - Where another writer was faster, or the outcome of an append is unknown, the end is not the stream's any more:
//!   with [`StreamError::Changed`] the owner loads the stream anew and decides again.

use std::fmt::Display;

use bincode::Options as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::crash_point::abort_process;
use crate::deps::Deps;
use crate::stream_end::{EncodedEvent, EventOrigin, StreamEnd};
use crate::stream_pages::StreamPages;
use crate::streams::triggers::by::By;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_store::{Append, AppendError, Appended, ReadError, Snapshot, StreamNote};

/// Events after which a snapshot is kept, so that a load does not read the whole stream.
const SNAPSHOT_EVERY: u64 = 500;
/// The largest snapshot that is read.
const SNAPSHOT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a stream cannot be read or written now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// Another writer appended, or the outcome of an append is unknown: the stream is to be loaded anew.
    #[error("the stream changed meanwhile")]
    Changed,
    /// The stream cannot be read, or the store does not take the append.
    #[error("{0}")]
    Store(String),
    /// The store takes no more appends.
    #[error("the store is closed")]
    Closed,
}

impl StreamError {
    /// The stream cannot be read, or the store does not take the append.
    pub(crate) fn store(error: &dyn Display) -> Self {
        Self::Store(error.to_string())
    }
}

/// An event, encoded for an append.
pub(crate) struct StoredEvent {
    name: &'static str,
    encoded: EncodedEvent,
}

/// Encodes events for an append.
pub(crate) fn stored_events<E, X: Display>(
    events: &[E],
    name: impl Fn(&E) -> &'static str,
    encode: impl Fn(&E) -> Result<EncodedEvent, X>,
) -> Result<Vec<StoredEvent>, StreamError> {
    let stored = |event: &E| match encode(event) {
        Ok(encoded) => Ok(StoredEvent { name: name(event), encoded }),
        Err(error) => Err(StreamError::store(&error)),
    };
    events.iter().map(stored).collect()
}

/// The end of a stream, and the appends behind it.
#[derive(Debug, Clone)]
pub(crate) struct StreamWriter {
    stream: StreamId,
    end: StreamEnd,
    /// The version that the newest snapshot holds.
    snapshot: Version,
    /// The time of the last event.
    last_at: Timestamp,
}

impl StreamWriter {
    /// A stream of which nothing was read yet.
    pub(crate) fn unread(stream: StreamId) -> Self {
        Self { stream, end: StreamEnd::default(), snapshot: Version::ZERO, last_at: Timestamp::default() }
    }

    pub(crate) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The version of the last event.
    pub(crate) fn version(&self) -> Version {
        self.end.version
    }

    /// The time of what is decided now: the clock, or the last event's time where the clock was set back.
    pub(crate) fn now(&self, shared: &Deps) -> Timestamp {
        shared.now().max(self.last_at)
    }

    /// Folds the events that were not read yet, `page` of them at once.
    pub(crate) async fn read_on(
        &mut self,
        shared: &Deps,
        page: usize,
        mut fold: impl FnMut(&Envelope) -> Result<(), String>,
    ) -> Result<(), StreamError> {
        let stream = self.stream.clone();
        let unreadable = |error: ReadError| StreamError::Store(format!("{stream}: {error}"));
        let mut pages = StreamPages::new(shared.store.as_ref(), &stream, self.end.version.next(), page);
        while let Some(events) = pages.next().await.map_err(unreadable)? {
            for envelope in &events {
                let version = envelope.header.version;
                fold(envelope)
                    .map_err(|what| StreamError::Store(format!("{stream}: version {version}: {what}")))?;
                self.end = StreamEnd::of(envelope);
                self.last_at = envelope.header.recorded_at;
            }
        }
        Ok(())
    }

    /// The state of the newest snapshot, from which reading goes on; `None`: there is none that can be read, and the
    /// stream is read from its first event on.
    pub(crate) async fn load_snapshot<S: DeserializeOwned>(
        &mut self,
        shared: &Deps,
        fold_version: u32,
    ) -> Result<Option<S>, StreamError> {
        let snapshot = shared.store.load_snapshot(&self.stream, fold_version).await;
        let snapshot = snapshot.map_err(|error| StreamError::Store(format!("{}: {error}", self.stream)))?;
        let Some(snapshot) = snapshot else { return Ok(None) };
        let Ok((at, state)) = options().deserialize::<(Timestamp, S)>(&snapshot.bytes) else {
            return Ok(None);
        };
        self.end = StreamEnd { version: snapshot.version, hash: snapshot.hash };
        (self.snapshot, self.last_at) = (snapshot.version, at);
        Ok(Some(state))
    }

    /// Keeps a snapshot of the folded state from time to time; the larger `weight`, the more rarely. A snapshot that
    /// is not kept costs the next load some time, and nothing else.
    pub(crate) async fn keep_snapshot<S: Serialize>(
        &mut self,
        shared: &Deps,
        fold_version: u32,
        state: &S,
        weight: usize,
    ) {
        let StreamEnd { version, hash } = self.end;
        if version.get() - self.snapshot.get() < SNAPSHOT_EVERY.max(weight as u64) {
            return;
        }
        self.snapshot = version;
        let Ok(bytes) = options().serialize(&(self.last_at, state)) else { return };
        let snapshot = Snapshot { version, hash, fold_version, bytes };
        if let Err(error) = shared.store.save_snapshot(&self.stream, snapshot).await {
            tracing::debug!(stream = %self.stream, %error, "a snapshot was not kept");
        }
    }

    /// Makes events durable, in one append. Nothing is added where the same request was recorded before under its key:
    /// then the answer is the first append's, and `repeated`.
    pub(crate) async fn append(
        &mut self,
        shared: &Deps,
        by: &By,
        at: Timestamp,
        events: Vec<StoredEvent>,
        note: StreamNote,
    ) -> Result<Appended, StreamError> {
        let crashes = events.iter().any(|event| shared.config.crash_after.as_deref() == Some(event.name));
        let mut end = self.end;
        let cause = end.cause(&self.stream);
        let origin = EventOrigin { stream: &self.stream, actor: &by.actor, at, cause };
        let events = events.into_iter().map(|event| end.link(&origin, event.encoded)).collect();
        let append = Append {
            stream: self.stream.clone(),
            expected: self.end.version,
            previous: self.end.hash,
            events,
            dedup: by.dedup,
            fence: shared.config.fence,
            note,
        };
        loop {
            match shared.store.append(append.clone()).await {
                Ok(appended) => {
                    if crashes {
                        abort_process();
                    }
                    if !appended.repeated {
                        (self.end, self.last_at) = (end, at);
                    }
                    return Ok(appended);
                }
                Err(AppendError::Full | AppendError::ReadOnly(_)) => {
                    shared.until_writable().await.ok_or(StreamError::Closed)?;
                }
                Err(
                    AppendError::WrongExpectedVersion { .. }
                    | AppendError::WrongPreviousHash { .. }
                    | AppendError::Unknown(_),
                ) => return Err(StreamError::Changed),
                Err(AppendError::Closed | AppendError::NotOurs(_) | AppendError::Fenced { .. }) => {
                    return Err(StreamError::Closed);
                }
                Err(error) => return Err(StreamError::store(&error)),
            }
        }
    }
}

/// Where the first append of a request stands that comes once more under its key. `None`: there was none, or the
/// request has no key. `None` in it: the key was used for another request.
pub(crate) async fn first_append(shared: &Deps, by: &By) -> Result<Option<Option<Position>>, StreamError> {
    let Some(dedup) = &by.dedup else { return Ok(None) };
    let first = shared.store.first_write(dedup.key).await.map_err(|error| StreamError::store(&error))?;
    Ok(first.map(|first| (first.body == dedup.body).then(|| first.appended.last_position())))
}

fn options() -> impl bincode::Options {
    everfold_base::codec::options(SNAPSHOT_BYTES_MAX)
}
