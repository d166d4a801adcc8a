//! Where values that are too large for an event are kept.
//!
//! Law: a trait alone, so that its callers do not depend on the store.
//!
//! Implemented by the store's `BlobStore`; called by the runtime and by the executors.

use std::io;

use crate::id::RunId;
use crate::json::BlobRef;

/// Keeps values of runs by content. Its methods block; the runtime calls them off its own threads.
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
