//! Set-ups that tests of the store share: stores over a file layer that fails, runtimes, copies of folders.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use everfold_store::{EventStore, OpenError, SegmentSizes, SledOptions, SledStore};
use tempfile::TempDir;

use crate::fault_files::FaultFiles;
use crate::writer::Writer;

/// A new store over a file layer of its own, and a writer of its first stream.
pub(crate) struct FaultStore {
    pub(crate) folder: TempDir,
    pub(crate) files: FaultFiles,
    pub(crate) store: Arc<SledStore>,
    pub(crate) writer: Writer,
}

impl FaultStore {
    /// An empty store.
    pub(crate) fn new() -> Self {
        let (folder, files) = (TempDir::new().unwrap(), FaultFiles::default());
        let store = open(folder.path(), &files);
        Self { folder, files, store, writer: Writer::new("a") }
    }

    /// A store with one event, whose payload is `kept`.
    pub(crate) async fn with_kept() -> Self {
        let mut it = Self::new();
        it.store.append(it.writer.append(&[b"kept"])).await.unwrap();
        it
    }
}

/// Opens a store over a file layer.
pub(crate) fn open(folder: &Path, files: &FaultFiles) -> Arc<SledStore> {
    try_open(folder, files, "boot").unwrap()
}

/// The same after a boot of this name, and where it may be refused.
pub(crate) fn try_open(folder: &Path, files: &FaultFiles, boot: &str) -> Result<Arc<SledStore>, OpenError> {
    open_with(folder, files, boot, SegmentSizes::default())
}

/// With a journal of short files.
pub(crate) fn try_open_small(
    folder: &Path,
    files: &FaultFiles,
    boot: &str,
) -> Result<Arc<SledStore>, OpenError> {
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
        // Calls are counted, and made to fail, one by one; none is made beside them.
        compress_from: u64::MAX,
        renew_manifest_after: std::time::Duration::MAX,
        ..SledOptions::default()
    };
    SledStore::open(folder, options).map(Arc::new)
}

/// Runs a test on a runtime with threads.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

/// All payloads of the log.
pub(crate) async fn payloads(store: &dyn EventStore) -> Vec<Vec<u8>> {
    let log = store.read_all(everfold_base::id::Position(1), usize::MAX).await.unwrap();
    log.iter().map(|event| event.payload.clone()).collect()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    copy_folder_without(from, to, "");
}

/// The same without files of one name.
pub(crate) fn copy_folder_without(from: &Path, to: &Path, left_out: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == left_out {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy_folder_without(&entry.path(), &target, left_out);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
