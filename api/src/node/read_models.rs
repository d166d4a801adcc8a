//! Opens the read models of a folder: their storage beside the store, then the models in it.
//!
//! Law: nothing of theirs is touched before the folder is this process's.

use std::sync::{Arc, Mutex, PoisonError};

use everfold_engine::data_folder::Layout;
use everfold_engine::store::EventStore;
use everfold_projections::{ReadSide, ReadStorage, StorageError, StorageLocation};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::fault::{Code, Fault};

type OpeningStorage = Arc<Mutex<Option<JoinHandle<Result<ReadStorage, StorageError>>>>>;

/// The read models of a folder whose store is being opened.
pub(super) struct OpeningReadModels {
    layout: Layout,
    storage: OpeningStorage,
}

impl OpeningReadModels {
    pub(super) fn of(layout: &Layout) -> Self {
        Self { layout: layout.clone(), storage: Arc::default() }
    }

    /// What the store calls with its epoch once the folder is this process's.
    pub(super) fn on_owned(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let (layout, storage, runtime) = (self.layout.clone(), Arc::clone(&self.storage), Handle::current());
        Arc::new(move |epoch| {
            let place = StorageLocation::folder(layout.projections(), epoch);
            let place = place.with_values(layout.root().to_owned());
            let opening = runtime.spawn_blocking(move || place.open());
            *storage.lock().unwrap_or_else(PoisonError::into_inner) = Some(opening);
        })
    }

    /// Opens the models, now that the store is open.
    ///
    /// # Errors
    /// Their folder cannot be made or written.
    pub(super) async fn open(self, store: &Arc<dyn EventStore>) -> Result<Arc<ReadSide>, Fault> {
        let (store, runtime) = (Arc::clone(store), Handle::current());
        let storage = match self.begun() {
            Some(opening) => opening.await.map_err(ended)?,
            None => {
                return Err(Fault::new(Code::Internal, "the store was opened without a word of its epoch"));
            }
        };
        let open = move || storage.and_then(|storage| ReadSide::open(storage, store, &runtime));
        let views = tokio::task::spawn_blocking(open).await.map_err(ended)?;
        views.map(Arc::new).map_err(|error| {
            Fault::new(Code::StoreIndex, error.to_string())
                .hint("the folder `projections` holds nothing that is not in the log: it may be removed")
        })
    }

    /// Closes what was opened, where the store could not be.
    pub(super) async fn give_up(self) {
        if let Some(opening) = self.begun() {
            let _closed_by_being_dropped = opening.await;
        }
    }

    fn begun(&self) -> Option<JoinHandle<Result<ReadStorage, StorageError>>> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn ended(error: tokio::task::JoinError) -> Fault {
    Fault::new(Code::Internal, error.to_string())
}
