//! Where values that are too large for an event are kept.

use std::io;

use crate::id::RunId;
use crate::json::BlobRef;
use crate::store::blob::{BlobError, BlobStore};

/// Keeps values of runs by content. Its methods block; the driver calls them off its own threads.
pub trait Blobs: Send + Sync + 'static {
    /// Makes `bytes` durable as a blob of the run; repeating it does no harm.
    ///
    /// # Errors
    /// When the bytes could not be made durable.
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef>;

    /// Reads a blob of the run.
    ///
    /// # Errors
    /// When it is missing or is not what was written.
    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>>;
}

impl Blobs for BlobStore {
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef> {
        self.put_blocking(run, bytes).map_err(into_io)
    }

    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>> {
        self.get_blocking(run, &blob.hash).map_err(into_io)
    }
}

/// Keeps the kind: a full disk is waited for, everything else is not.
fn into_io(error: BlobError) -> io::Error {
    let kind = match &error {
        BlobError::Missing { .. } => io::ErrorKind::NotFound,
        BlobError::Damaged { .. } => io::ErrorKind::InvalidData,
        BlobError::Io { source, .. } => source.kind(),
        BlobError::Ending => io::ErrorKind::Interrupted,
    };
    io::Error::new(kind, error)
}
