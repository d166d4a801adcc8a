//! A stream of the engine's own that is folded as a whole and kept in memory between its requests.
//!
//! Law: the fold moves only after an append is durable. An append of which nothing is known, also because its caller
//! went away meanwhile, has the stream read again before the next request is decided.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deps::Deps;
use crate::streams::stream_writer::{StoredEvent, StreamError, StreamWriter};
use crate::streams::triggers::by::By;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_store::StreamNote;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A fold of a stream.
pub(crate) trait StreamFold: Default + Serialize + DeserializeOwned + Send {
    /// Its facts.
    type Event: Send + Sync;
    /// The number of the fold's snapshots.
    const FOLD_VERSION: u32;

    fn apply(&mut self, event: &Self::Event);

    fn decode(envelope: &Envelope) -> Result<Self::Event, String>;

    fn stored(events: &[Self::Event]) -> Result<Vec<StoredEvent>, StreamError>;

    /// How large the fold is: the larger, the more rarely a snapshot of it is kept.
    fn weight(&self) -> usize;
}

/// A fold and the writer of its stream.
pub(crate) struct FoldedStream<F> {
    fold: F,
    writer: StreamWriter,
    /// The fold is that of the whole stream.
    is_current: bool,
}

impl<F: StreamFold> FoldedStream<F> {
    /// A stream of which nothing was read yet.
    pub(crate) fn unread(stream: StreamId) -> Self {
        Self { fold: F::default(), writer: StreamWriter::unread(stream), is_current: false }
    }

    /// The fold of the whole stream.
    pub(crate) async fn current(&mut self, shared: &Deps) -> Result<&F, StreamError> {
        if !self.is_current {
            let mut read = Self::unread(self.writer.stream().clone());
            if let Some(fold) = read.writer.load_snapshot(shared, F::FOLD_VERSION).await? {
                read.fold = fold;
            }
            let fold = &mut read.fold;
            let apply = |envelope: &Envelope| {
                fold.apply(&F::decode(envelope)?);
                Ok(())
            };
            read.writer.read_on(shared, PAGE, apply).await?;
            read.is_current = true;
            *self = read;
        }
        Ok(&self.fold)
    }

    /// Makes events durable that were decided on the fold as it is. With [`StreamError::Changed`] the owner decides
    /// again.
    pub(crate) async fn append(&mut self, shared: &Deps, events: Vec<F::Event>) -> Result<(), StreamError> {
        if events.is_empty() {
            return Ok(());
        }
        let stored = F::stored(&events)?;
        let (by, at) = (By::from(Actor::Engine), self.writer.now(shared));
        self.is_current = false;
        self.writer.append(shared, &by, at, stored, StreamNote::default()).await?;
        events.iter().for_each(|event| self.fold.apply(event));
        self.is_current = true;
        self.writer.keep_snapshot(shared, F::FOLD_VERSION, &self.fold, self.fold.weight()).await;
        Ok(())
    }
}
