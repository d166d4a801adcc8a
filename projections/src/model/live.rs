//! A read model that is kept up to date beside its readers, and the rebuild that may replace it.
//!
//! Law: readers see what was published last and wait for no fold. At most one checkpoint of a model is being written,
//! and at most one rebuild of it is running.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use everfold_base::id::Position;

use super::fold::ModelFold;
use super::status::{ModelStatus, ModelStop};
use crate::generation::{Generation, save_generation};
use crate::log_reader::FactBatch;
use crate::projection::{FoldError, Projection};
use crate::snapshot::PublishedValues;
use crate::storage::{Checkpoint, Storage};

/// What a model reports without waiting for its fold.
struct ModelInfo {
    published: Arc<PublishedValues>,
    generation: u32,
    checkpoint: Position,
    stopped: Option<ModelStop>,
    rebuilding: Option<Position>,
}

/// A checkpoint that is not written yet, and its position.
type PendingCheckpoint = Option<(Checkpoint, Position)>;

/// A read model that is kept up, and perhaps another one being built to take its place.
pub(crate) struct Model<P> {
    /// Locked by the threads that fold, never by readers.
    inner: Mutex<ModelFold<P>>,
    info: Mutex<ModelInfo>,
    /// Locked by the thread that writes the checkpoint.
    pending: Mutex<PendingCheckpoint>,
    storage: Arc<Storage>,
}

/// A read model, whatever its type.
pub(crate) trait AnyModel: Send + Sync {
    fn name(&self) -> &'static str;
    fn position(&self) -> Position;
    fn stopped(&self) -> Option<ModelStop>;
    fn status(&self, head: Position) -> ModelStatus;
    /// Folds; readers see it with the next [`Self::show`].
    fn take(&self, facts: &FactBatch);
    /// Publishes all that was folded.
    fn show(&self);
    /// How much a checkpoint would write.
    fn changed(&self) -> usize;
    /// How many events a kill would have it fold again.
    fn unsaved(&self) -> u64;
    /// Writes a checkpoint of all that was folded.
    fn checkpoint(&self) -> Result<(), FoldError>;
    /// Prepares a checkpoint, unless one is being written; whether there
    /// is anything to [`Self::write_prepared`].
    fn prepare(&self) -> Result<bool, FoldError>;
    /// Writes the prepared checkpoint. The fold does not wait for it.
    fn write_prepared(&self) -> Result<(), FoldError>;
    /// Begins a rebuild; `None`: one is running.
    fn begin_rebuild(&self, generation: u32) -> Result<Option<Box<dyn Rebuild + '_>>, FoldError>;
    fn generation(&self) -> Generation;
}

/// A read model that is built beside another one.
pub(crate) trait Rebuild {
    fn fold(&mut self, facts: &FactBatch) -> Result<(), FoldError>;
    /// Takes the other one's place, where it has come as far as the fold of what is new: `folded`, which
    /// the caller keeps from moving. Returns the generation that is not used any more.
    fn take_over(&mut self, folded: Position) -> Result<Option<u32>, FoldError>;
    /// How far it is.
    fn position(&self) -> Position;
    fn stopped(&self) -> Option<ModelStop>;
}

impl<P: Projection> Model<P> {
    pub(crate) fn new(storage: Arc<Storage>, inner: ModelFold<P>) -> Self {
        let info = ModelInfo {
            published: Arc::clone(inner.batch.published()),
            generation: u32::from_be_bytes(inner.batch.prefix()),
            checkpoint: inner.checkpoint,
            stopped: inner.stopped.clone(),
            rebuilding: None,
        };
        Self { inner: Mutex::new(inner), info: Mutex::new(info), pending: Mutex::default(), storage }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, ModelFold<P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn info(&self) -> MutexGuard<'_, ModelInfo> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, fold: impl FnOnce(&mut ModelFold<P>)) {
        let mut inner = self.inner();
        fold(&mut inner);
        if inner.stopped.is_some() {
            self.info().stopped.clone_from(&inner.stopped);
        }
    }

    /// What readers see.
    pub(crate) fn published(&self) -> Arc<PublishedValues> {
        Arc::clone(&self.info().published)
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, PendingCheckpoint> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a checkpoint, unless there is one that was not written yet: that goes first, and readers find all of it
    /// in memory until then.
    fn settle(&self, pending: &mut PendingCheckpoint) -> Result<(), FoldError> {
        if pending.is_some() {
            return Ok(());
        }
        let mut inner = self.inner();
        match inner.settle() {
            Ok(settled) => *pending = settled,
            Err(error) => {
                let (position, what) = (inner.position, error.to_string());
                inner.stopped = Some(ModelStop { run: None, position, what });
                self.info().stopped.clone_from(&inner.stopped);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&self, pending: &mut PendingCheckpoint) -> Result<(), FoldError> {
        if let Some((checkpoint, at)) = pending {
            self.storage.write_checkpoint(checkpoint)?;
            self.inner().settled(*at);
            self.info().checkpoint = *at;
        }
        *pending = None;
        Ok(())
    }
}

impl<P: Projection> AnyModel for Model<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn position(&self) -> Position {
        self.published().snapshot().position()
    }

    fn stopped(&self) -> Option<ModelStop> {
        self.info().stopped.clone()
    }

    fn status(&self, head: Position) -> ModelStatus {
        let position = self.position();
        let info = self.info();
        ModelStatus {
            name: P::NAME,
            schema: P::SCHEMA,
            position,
            lag: head.0.saturating_sub(position.0),
            checkpoint: info.checkpoint,
            stopped: info.stopped.clone(),
            rebuilding: info.rebuilding,
        }
    }

    fn take(&self, facts: &FactBatch) {
        self.with(|inner| inner.take(facts));
    }

    fn show(&self) {
        self.with(ModelFold::show);
    }

    fn changed(&self) -> usize {
        self.inner().changed()
    }

    fn unsaved(&self) -> u64 {
        let inner = self.inner();
        if inner.stopped.is_some() { 0 } else { inner.position.0 - inner.checkpoint.0 }
    }

    fn checkpoint(&self) -> Result<(), FoldError> {
        let mut pending = self.pending();
        self.settle(&mut pending)?;
        self.write(&mut pending)
    }

    fn prepare(&self) -> Result<bool, FoldError> {
        let mut pending = match self.pending.try_lock() {
            Ok(pending) => pending,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        self.settle(&mut pending)?;
        Ok(pending.is_some())
    }

    fn write_prepared(&self) -> Result<(), FoldError> {
        self.write(&mut self.pending())
    }

    fn begin_rebuild(&self, generation: u32) -> Result<Option<Box<dyn Rebuild + '_>>, FoldError> {
        let mut info = self.info();
        if info.rebuilding.is_some() {
            return Ok(None);
        }
        let inner = ModelFold::open(Arc::clone(&self.storage), generation)?;
        let position = inner.position;
        info.rebuilding = Some(position);
        Ok(Some(Box::new(ModelRebuild { model: self, inner: Some(inner), position })))
    }

    fn generation(&self) -> Generation {
        Generation { number: self.info().generation, schema: P::SCHEMA }
    }
}

/// A read model that is built beside the one that answers.
struct ModelRebuild<'a, P: Projection> {
    model: &'a Model<P>,
    /// `None`: it took the other one's place, or failed to.
    inner: Option<ModelFold<P>>,
    position: Position,
}

/// Changes after which a model that is rebuilt writes a checkpoint.
const CHANGES: usize = 4_000;

impl<P: Projection> Rebuild for ModelRebuild<'_, P> {
    fn fold(&mut self, facts: &FactBatch) -> Result<(), FoldError> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        inner.fold(facts);
        self.position = inner.position;
        self.model.info().rebuilding = Some(inner.position);
        if inner.changed() >= CHANGES {
            inner.write_checkpoint(&self.model.storage)?;
        }
        Ok(())
    }

    fn take_over(&mut self, folded: Position) -> Result<Option<u32>, FoldError> {
        let Some(mut inner) = self.inner.take_if(|inner| inner.position >= folded && inner.stopped.is_none())
        else {
            return Ok(None);
        };
        inner.write_checkpoint(&self.model.storage)?;
        let number = u32::from_be_bytes(inner.batch.prefix());
        let mut pending = self.model.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = self.model.inner();
        save_generation(&self.model.storage, P::NAME, Generation { number, schema: P::SCHEMA })?;
        // The replaced model's unwritten checkpoint is dropped.
        *pending = None;
        let mut info = self.model.info();
        info.published = Arc::clone(inner.batch.published());
        (info.checkpoint, info.stopped) = (inner.checkpoint, None);
        let former = std::mem::replace(&mut info.generation, number);
        drop(info);
        *live = inner;
        Ok(Some(former))
    }

    fn position(&self) -> Position {
        self.position
    }

    fn stopped(&self) -> Option<ModelStop> {
        self.inner.as_ref().and_then(|inner| inner.stopped.clone())
    }
}

impl<P: Projection> Drop for ModelRebuild<'_, P> {
    fn drop(&mut self) {
        self.model.info().rebuilding = None;
    }
}
