//! The end of a stream of a hook or a schedule, and the appends to it.

use bincode::Options as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deps::Deps;
use crate::streams::linked_events::linked_events;
use crate::streams::triggers::by::By;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_store::{Append, AppendError, Appended, Snapshot, StreamNote};

/// Events that are read at once: each may hold a body of 1 MiB.
const PAGE: usize = 50;
/// Events after which a state is kept, so that a load need not read the whole stream.
const KEPT_EVERY: u64 = 500;
/// The largest state that is read back.
const STATE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a stream cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// Another one wrote, or it is not known whether this one did: it is to be loaded anew.
    #[error("the stream changed meanwhile")]
    Changed,
    /// It cannot be read, or the store does not take it.
    #[error("{0}")]
    Store(String),
    /// The store takes nothing more.
    #[error("the store is closed")]
    Closed,
}

/// An event as it is stored.
pub(crate) struct Encoded {
    pub(crate) name: &'static str,
    pub(crate) kind: u16,
    pub(crate) schema: u16,
    pub(crate) bytes: Vec<u8>,
}

/// The end of a stream: where it stands, and what is added there.
#[derive(Debug, Clone)]
pub(crate) struct StreamTail {
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    hash: Hash,
    /// The version that a kept state holds.
    kept: Version,
    /// The time of the last event: a clock that was set back is not followed.
    last_at: Timestamp,
}

impl StreamTail {
    /// Folds a stream, from the newest state that was kept on.
    pub(crate) async fn load<S: Default + DeserializeOwned>(
        shared: &Deps,
        stream: StreamId,
        fold_version: u32,
        fold: impl Fn(&mut S, &Envelope) -> Result<(), String>,
    ) -> Result<(Self, S), TailError> {
        let mut tail = Self {
            stream,
            version: Version::ZERO,
            hash: Hash::ZERO,
            kept: Version::ZERO,
            last_at: Timestamp::default(),
        };
        let failed = |stream: &StreamId, what: String| TailError::Store(format!("{stream}: {what}"));
        let kept = shared.store.load_snapshot(&tail.stream, fold_version).await;
        let kept = kept.map_err(|error| failed(&tail.stream, error.to_string()))?;
        let mut state = S::default();
        if let Some(kept) = kept {
            // One that cannot be read is not missed.
            if let Ok((at, read)) = options().deserialize::<(Timestamp, S)>(&kept.bytes) {
                (state, tail.last_at) = (read, at);
                (tail.version, tail.hash, tail.kept) = (kept.version, kept.hash, kept.version);
            }
        }
        loop {
            let page = shared.store.read(&tail.stream, tail.version.next(), PAGE).await;
            let page = page.map_err(|error| failed(&tail.stream, error.to_string()))?;
            for envelope in &page {
                let version = envelope.header.version;
                fold(&mut state, envelope)
                    .map_err(|what| failed(&tail.stream, format!("version {version}: {what}")))?;
                (tail.version, tail.hash) = (version, envelope.hash);
                tail.last_at = envelope.header.recorded_at;
            }
            if page.len() < PAGE {
                return Ok((tail, state));
            }
        }
    }

    /// Keeps the folded state from time to time; `weight` grows with it. Losing one loses nothing.
    pub(crate) async fn keep<S: Serialize>(
        &mut self,
        shared: &Deps,
        fold_version: u32,
        state: &S,
        weight: usize,
    ) {
        let since = self.version.get() - self.kept.get();
        if since < KEPT_EVERY.max(weight as u64) {
            return;
        }
        self.kept = self.version;
        let Ok(bytes) = options().serialize(&(self.last_at, state)) else { return };
        let snapshot = Snapshot { version: self.version, hash: self.hash, fold_version, bytes };
        if let Err(error) = shared.store.save_snapshot(&self.stream, snapshot).await {
            tracing::debug!(stream = %self.stream, %error, "a state was not kept");
        }
    }

    /// The time that what is decided now is recorded with.
    pub(crate) fn now(&self, shared: &Deps) -> Timestamp {
        shared.now().max(self.last_at)
    }

    /// Where an order went that comes once more; `None` in it: its key was used for another order.
    pub(crate) async fn first(shared: &Deps, by: &By) -> Result<Option<Option<Position>>, TailError> {
        let Some(dedup) = &by.dedup else { return Ok(None) };
        let first = shared.store.first_write(dedup.key).await;
        let first = first.map_err(|error| TailError::Store(error.to_string()))?;
        Ok(first.map(|first| (first.body == dedup.body).then(|| first.appended.last_position())))
    }

    /// Makes events durable, in one append, or finds that they were under the same key: then nothing is added. With
    /// [`TailError::Changed`] the stream is to be loaded anew.
    pub(crate) async fn append(
        &mut self,
        shared: &Deps,
        by: &By,
        at: Timestamp,
        events: Vec<Encoded>,
        note: StreamNote,
    ) -> Result<Appended, TailError> {
        let crashes = events.iter().any(|event| shared.config.crash_after.as_deref() == Some(event.name));
        let encoded = events.into_iter().map(|event| (event.kind, event.schema, event.bytes)).collect();
        let end = (self.version, self.hash);
        let linked = linked_events(&self.stream, end, (&by.actor, at), encoded);
        let (version, hash) = linked.last().map_or(end, |event| (event.header.version, event.hash));
        let append = Append {
            stream: self.stream.clone(),
            expected: self.version,
            previous: self.hash,
            events: linked,
            dedup: by.dedup,
            fence: shared.config.fence,
            note,
        };
        loop {
            match shared.store.append(append.clone()).await {
                Ok(appended) => {
                    if crashes {
                        crate::crash_point::abort_process();
                    }
                    if !appended.repeated {
                        (self.version, self.hash, self.last_at) = (version, hash, at);
                    }
                    return Ok(appended);
                }
                Err(AppendError::Full | AppendError::ReadOnly(_)) => {
                    shared.until_writable().await.ok_or(TailError::Closed)?;
                }
                Err(
                    AppendError::WrongExpectedVersion { .. }
                    | AppendError::WrongPreviousHash { .. }
                    | AppendError::Unknown(_),
                ) => return Err(TailError::Changed),
                Err(AppendError::Closed | AppendError::NotOurs(_) | AppendError::Fenced { .. }) => {
                    return Err(TailError::Closed);
                }
                Err(error) => return Err(TailError::Store(error.to_string())),
            }
        }
    }
}

fn options() -> impl bincode::Options {
    everfold_base::codec::options(STATE_BYTES_MAX)
}
