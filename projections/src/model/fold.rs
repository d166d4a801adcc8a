//! One read model being folded: the model, its keys, and its position.
//!
//! Law: what the storage has is what the checkpoint's position says, and no more. An event that a model cannot fold
//! stops that model alone; the stop names run and position.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use everfold_base::id::{Position, RunId};

use super::status::ModelStop;
use crate::log_reader::FactBatch;
use crate::projection::{Fact, FoldError, Projection};
use crate::storage::{Checkpoint, Storage, StorageValue};
use crate::write_batch::WriteBatch;

/// Values that stay in memory though they do not change.
const HELD_MAX: usize = 4_096;
/// Where the position stands among a model's keys.
const POSITION: &[u8] = b"!";

/// A read model with its keys.
pub(crate) struct ModelFold<P> {
    pub(super) fold: P,
    pub(crate) batch: WriteBatch,
    pub(crate) position: Position,
    pub(super) checkpoint: Position,
    /// Everything that was folded is published.
    is_shown: bool,
    pub(crate) stopped: Option<ModelStop>,
}

impl<P: Projection> ModelFold<P> {
    /// Continues from what is stored under a generation's keys.
    pub(crate) fn open(storage: Arc<Storage>, generation: u32) -> Result<Self, FoldError> {
        let prefix = generation.to_be_bytes();
        let position = match storage.get(&[&prefix[..], POSITION].concat())? {
            Some(bytes) => {
                let bytes = bytes.as_slice().try_into();
                Position(u64::from_le_bytes(bytes.map_err(|_| FoldError::Row("no position".to_owned()))?))
            }
            None => Position::ZERO,
        };
        let batch = WriteBatch::new(storage, prefix, position);
        let fold = P::open(&batch)?;
        Ok(Self { fold, batch, position, checkpoint: position, is_shown: true, stopped: None })
    }

    /// Folds the events after the position, and publishes the result.
    pub(crate) fn fold(&mut self, facts: &FactBatch) {
        self.take(facts);
        self.show();
    }

    /// Folds the events after the position. Readers see them with the next [`Self::show`].
    pub(crate) fn take(&mut self, facts: &FactBatch) {
        if self.stopped.is_some() || facts.last <= self.position {
            return;
        }
        if facts.first > self.position.next() {
            let what = format!("the events before {} were not shown to it", facts.first);
            tracing::error!(model = P::NAME, what, "a read model stopped");
            self.stopped = Some(ModelStop { run: None, position: self.position, what });
            return;
        }
        let (mut at, mut run) = (self.position, None);
        let folded = catch_unwind(AssertUnwindSafe(|| {
            for defined in facts.defined_after(self.position) {
                (at, run) = (defined.position, None);
                self.fold.define(defined, &mut self.batch)?;
            }
            for fact in facts.after(self.position) {
                if !P::handles(fact.event) {
                    debug_assert!(self.is_nothing(&fact), "{} is not heeded", fact.event.name());
                    continue;
                }
                (at, run) = (fact.position, Some(fact.run));
                self.fold.apply(&fact, &mut self.batch)?;
            }
            Ok(())
        }));
        match folded {
            Ok(Ok(())) => (self.position, self.is_shown) = (facts.last, false),
            failed => self.stop(run, at, failed),
        }
    }

    /// Whether a fact changes nothing: tests check it for events that the model does not handle.
    fn is_nothing(&mut self, fact: &Fact<'_>) -> bool {
        let before = self.fold.unsettled() + self.batch.changed();
        self.fold.apply(fact, &mut self.batch).is_ok()
            && before == self.fold.unsettled() + self.batch.changed()
    }

    /// Publishes all that was folded. Changes of one row or one term by many events are combined once.
    pub(crate) fn show(&mut self) {
        if self.stopped.is_some() || self.is_shown {
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| self.fold.publish(&mut self.batch))) {
            Ok(Ok(())) => {
                self.batch.publish(self.position);
                self.is_shown = true;
            }
            failed => self.stop(None, self.position, failed),
        }
    }

    fn stop(&mut self, run: Option<RunId>, at: Position, why: std::thread::Result<Result<(), FoldError>>) {
        let what = match why {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_panic) => "a panic within Everfold".to_owned(),
        };
        tracing::error!(model = P::NAME, position = at.0, run = ?run, what, "a read model stopped");
        self.stopped = Some(ModelStop { run, position: at, what });
    }

    pub(super) fn changed(&self) -> usize {
        if self.stopped.is_some() { 0 } else { self.fold.unsettled() + self.batch.changed() }
    }

    /// The checkpoint that brings the storage up to the model's position.
    pub(crate) fn settle(&mut self) -> Result<Option<(Checkpoint, Position)>, FoldError> {
        self.show();
        if self.stopped.is_some() || self.position == self.checkpoint {
            return Ok(None);
        }
        self.fold.settle(&mut self.batch)?;
        let position = StorageValue::new(self.position.0.to_le_bytes().to_vec());
        self.batch.put_through(POSITION, position);
        Ok(Some((self.batch.drain(), self.position)))
    }

    /// Writes a checkpoint, and waits for it.
    pub(crate) fn write_checkpoint(&mut self, storage: &Storage) -> Result<(), FoldError> {
        if let Some((checkpoint, at)) = self.settle()? {
            storage.write_checkpoint(&checkpoint)?;
            self.settled(at);
        }
        Ok(())
    }

    pub(crate) fn settled(&mut self, at: Position) {
        self.checkpoint = at;
        self.fold.trim();
        self.batch.settled(HELD_MAX);
    }
}
