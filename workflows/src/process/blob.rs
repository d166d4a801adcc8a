//! Where kept files go.

use std::io;

use everfold_engine::id::RunId;
use everfold_engine::json::BlobRef;

/// Keeps files of runs by content.
pub trait BlobStore: Send + Sync + 'static {
    /// Keeps `bytes` durably for the run; keeping the same again does no harm. Blocks.
    ///
    /// # Errors
    /// When they could not be made durable.
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef>;
}
