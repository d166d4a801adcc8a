//! The engine that is measured, over a store in a folder of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::data_folder::Layout;
use everfold_engine::driver::{Engine, EngineConfig};
use everfold_engine::execution::Edge;
use everfold_engine::store::{BlobStore, EventStore, SledOptions, SledStore};

/// What went wrong while measuring.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// Runs in flight at once.
pub(super) const IN_FLIGHT: usize = 64;

/// An engine over a store in a folder of its own.
pub(super) struct BenchEngine {
    pub(super) engine: Engine,
    pub(super) store: Arc<dyn EventStore>,
}

impl BenchEngine {
    pub(super) fn open(folder: &Path, edge: Edge) -> Result<Self, BenchError> {
        let store: Arc<dyn EventStore> = Arc::new(SledStore::open(folder, SledOptions::default())?);
        let layout = Layout::new(folder);
        let blobs = Arc::new(BlobStore::new(folder));
        let engine = Engine::open(EngineConfig::default(), store.clone(), blobs, layout, edge);
        Ok(Self { engine, store })
    }

    pub(super) async fn close(self) -> Result<(), BenchError> {
        self.engine.shutdown(Duration::from_secs(5)).await;
        self.store.close().await?;
        Ok(())
    }
}
