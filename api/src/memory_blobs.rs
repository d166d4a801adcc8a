//! Blobs in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use everfold_engine::driver::Blobs;
use everfold_engine::id::RunId;
use everfold_engine::json::{BlobRef, Hash};

/// The blobs of an engine that has no folder.
#[derive(Default)]
pub(crate) struct MemoryBlobs(Mutex<BTreeMap<(RunId, Hash), Vec<u8>>>);

impl Blobs for MemoryBlobs {
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef> {
        let blob = BlobRef { hash: Hash::of(bytes), size_bytes: bytes.len() as u64 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((run, blob.hash), bytes.to_vec());
        Ok(blob)
    }

    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.get(&(run, blob.hash)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
