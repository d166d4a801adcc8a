//! Opens the read side: its storage, its models, its threads.
//!
//! Law: what is stored and cannot be trusted or read is folded again; it is no error.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use everfold_base::id::Position;
use everfold_store::EventStore;
use tokio::sync::watch;

use super::channel::channel;
use super::location::ReadStorage;
use super::side::ReadSide;
use super::state::{ModelProgress, ModelSet, ReadSideState};
use super::threads::{ReportTo, fold, follow, spawn, write_checkpoints};
use crate::generation::{self, Generation};
use crate::model::{Model, ModelFold};
use crate::projection::Projection;
use crate::storage::{Storage, StorageError};

impl ReadSide {
    /// Opens the read models in a storage; threads of the read side fold further events into them from then on. Blocks for as
    /// long as reading what they kept takes.
    ///
    /// # Errors
    /// The storage cannot be read or written. Models in it that cannot be trusted or read are no error:
    /// they are folded again.
    pub fn open(
        storage: ReadStorage,
        store: Arc<dyn EventStore>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, StorageError> {
        let ReadStorage { location, storage, closed } = storage;
        let head_at_open = store.last_position();
        let storage = Arc::new(storage);
        let opened = models_in(&storage, closed, head_at_open);
        let (storage, (models, next_generation)) = match opened {
            // sled opens files that it cannot read.
            Err(error) if !error.is_passing() && location.folder.is_some() => {
                tracing::warn!(%error, "the read models are folded anew from the log");
                drop(storage);
                let storage = Arc::new(location.open_anew()?);
                let models = models_in(&storage, None, head_at_open)?;
                (storage, models)
            }
            opened => (storage, opened?),
        };
        let position = models.position().unwrap_or(Position::ZERO);
        let ready = position >= head_at_open;
        let (progress, _) = watch::channel(ModelProgress { position, ready, closed: false, unread: None });
        let unreadable = Mutex::default();
        let shown = Mutex::new(position);
        let shared = Arc::new(ReadSideState {
            models,
            storage,
            location,
            store,
            progress,
            unreadable,
            next_generation,
            head_at_open,
            shown,
        });
        let (stop, stopping) = watch::channel(false);
        let (sender, receiver) = channel();
        let reader = {
            let (shared, runtime, stopping) = (Arc::clone(&shared), runtime.clone(), stopping.clone());
            spawn("read-side-log", move || {
                runtime.block_on(follow(&shared, position.next(), &sender, stopping, ReportTo::Readers))
            })?
        };
        let (ready, writing) = sync_channel(shared.models.all().len());
        let writer = {
            let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
            spawn("read-side-store", move || write_checkpoints(&shared, &writing, &stopping))?
        };
        let folder = {
            let (shared, stopping) = (Arc::clone(&shared), stopping);
            spawn("read-side-fold", move || fold(&shared, &receiver, &ready, &stopping))?
        };
        Ok(Self { shared, stop, threads: Mutex::new(vec![reader, folder, writer]) })
    }
}

/// Opens all models in a storage; gives the number of the next generation, too.
fn models_in(
    storage: &Arc<Storage>,
    closed: Option<BTreeMap<String, u64>>,
    head: Position,
) -> Result<(ModelSet, AtomicU32), StorageError> {
    let next = AtomicU32::new(generation::next_generation(storage)?);
    let opener = ModelOpener { storage, closed, head, next };
    let models = ModelSet {
        runs: opener.model()?,
        inbox: opener.model()?,
        audit: opener.model()?,
        spend: opener.model()?,
        notices: opener.model()?,
        stages: opener.model()?,
    };
    Ok((models, opener.next))
}

/// Opens models.
struct ModelOpener<'a> {
    storage: &'a Arc<Storage>,
    /// The positions of an orderly end.
    closed: Option<BTreeMap<String, u64>>,
    head: Position,
    next: AtomicU32,
}

impl ModelOpener<'_> {
    /// Opens a model, or begins it from nothing where the stored one cannot be trusted: of another schema, ahead
    /// of the log, or not at the position that the manifest names.
    fn model<P: Projection>(&self) -> Result<Arc<Model<P>>, StorageError> {
        let found = generation::generation_of(self.storage, P::NAME)?;
        let kept = found.filter(|found| found.schema == P::SCHEMA).and_then(|found| {
            let inner = ModelFold::<P>::open(Arc::clone(self.storage), found.number).ok()?;
            let closed_at = self.closed.as_ref().map(|closed| closed.get(P::NAME).copied());
            let is_whole = closed_at.is_none_or(|position| position == Some(inner.position.0));
            (is_whole && inner.position <= self.head).then_some(inner)
        });
        let inner = match kept {
            Some(inner) => inner,
            None => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                generation::save_generation(self.storage, P::NAME, Generation { number, schema: P::SCHEMA })?;
                ModelFold::open(Arc::clone(self.storage), number)
                    .map_err(|error| StorageError::new(error.to_string()))?
            }
        };
        Ok(Arc::new(Model::new(Arc::clone(self.storage), inner)))
    }
}
