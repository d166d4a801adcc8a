//! The idempotency key of a write, for the store and for the run.

use std::sync::Arc;

use everfold_engine::driver::SubmitError;
use everfold_engine::envelope::Envelope;
use everfold_engine::id::{InputId, Position, RunId};
use everfold_engine::json::Hash;
use everfold_engine::store::Dedup;

use super::handle::Node;
use crate::fault::Fault;

/// What makes a repeated write recognisable.
pub(crate) struct Idempotency {
    /// The key and the body's hash for the store; `None`: the write has no key.
    pub(crate) dedup: Option<Dedup>,
    /// The id of the input to the run: equal for equal keys.
    pub(crate) input: InputId,
}

impl Idempotency {
    /// That of the part of a write to several runs that goes to the first of them: where the write is made once more, it
    /// tells that, and when it was first made.
    pub(crate) fn of_first_run(&self, run: RunId) -> Self {
        Self { dedup: self.dedup, ..self.of_run(run) }
    }

    /// That of the part of a write to several runs that goes to this one. Each has a key of its own, so that a repeat
    /// gets the first answer of each run.
    pub(crate) fn of_run(&self, run: RunId) -> Self {
        let key = |of: Hash| Hash::of(format!("{of}\n{run}").as_bytes());
        Self {
            dedup: self.dedup.map(|of| Dedup { key: key(of.key), ..of }),
            input: InputId::derive(&format!("{}/{run}", self.input)),
        }
    }
}

impl Node {
    /// The first event that came of a write under a key; `None`: there was none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn first_event(&self, key: Hash) -> Result<Option<Arc<Envelope>>, Fault> {
        let Some(first) = self.store().first_write(key).await? else { return Ok(None) };
        self.event_at(first.appended.first_position).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Arc<Envelope>>, Fault> {
        Ok(self.store().read_all(position, 1).await?.into_iter().next())
    }

    /// The run and the place of a write that was made before; `None`: it was not, or it has no key.
    ///
    /// # Errors
    /// The key was used for something else, or the store cannot be read.
    pub(crate) async fn made_before(&self, once: &Idempotency) -> Result<Option<(RunId, Position)>, Fault> {
        let Some(dedup) = &once.dedup else { return Ok(None) };
        let Some(first) = self.store().first_write(dedup.key).await? else { return Ok(None) };
        if first.body != dedup.body {
            return Err(SubmitError::KeyReused.into());
        }
        let event = self.event_at(first.appended.first_position).await?;
        Ok(event.and_then(|event| Some((event.header.stream.as_run()?, event.position))))
    }
}
