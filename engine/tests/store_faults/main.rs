//! What the store does when system calls fail, and when the machine stops between two of them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../events/mod.rs"]
mod events;
mod full;
mod layer;
mod mending;
mod opening;
mod owning;
mod stopping;
mod syncing;

use std::path::Path;
use std::sync::Arc;

use everfold_engine::store::{EventStore, OpenError, SegmentSizes, SledOptions, SledStore};

use layer::FaultFiles;

/// Opens a store over the layer.
fn open(folder: &Path, files: &FaultFiles) -> Arc<SledStore> {
    try_open(folder, files, "boot").unwrap()
}

fn try_open(folder: &Path, files: &FaultFiles, boot: &str) -> Result<Arc<SledStore>, OpenError> {
    open_with(folder, files, boot, SegmentSizes::default())
}

/// With a journal of short files.
fn try_open_small(folder: &Path, files: &FaultFiles, boot: &str) -> Result<Arc<SledStore>, OpenError> {
    open_with(folder, files, boot, SegmentSizes { first: 16_384, later: 32_768 })
}

fn open_with(
    folder: &Path,
    files: &FaultFiles,
    boot: &str,
    segments: SegmentSizes,
) -> Result<Arc<SledStore>, OpenError> {
    let options = SledOptions {
        files: Arc::new(files.clone()),
        boot_id: boot.into(),
        segments,
        // Calls are counted, and made to fail, one by one.
        renew_mark_after: std::time::Duration::MAX,
        ..SledOptions::default()
    };
    SledStore::open(folder, options).map(Arc::new)
}

/// Runs a test on a runtime with threads.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

/// All payloads of the log.
async fn payloads(store: &dyn EventStore) -> Vec<Vec<u8>> {
    let log = store.read_all(everfold_engine::id::Position(1), usize::MAX).await.unwrap();
    log.iter().map(|event| event.payload.clone()).collect()
}
