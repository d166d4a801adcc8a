//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use super::files::{Files, SystemFiles};
use super::journal::segment::SegmentSizes;
use super::manifest;
use super::observer::{StoreObserver, Unobserved};
use super::progress::Progress;
use everfold_system::clock::{self, Clock};

/// Longer than a process needs that opens the store for one write: it closes before, and writes `store.json` once less.
const RENEW_MANIFEST_AFTER: Duration = Duration::from_millis(100);

/// What is smaller saves too little for a file of its own to be written.
const COMPRESS_FROM: u64 = 1024 * 1024;

/// How a store is opened. `Default` is what everything but tests wants.
#[derive(Clone)]
pub struct SledOptions {
    /// The system calls.
    pub files: Arc<dyn Files>,
    /// Where commit times come from.
    pub clock: Clock,
    /// The kernel's name for this boot; while it stays, a kill is no power cut.
    pub boot_id: String,
    /// How long the journal's files are made.
    pub segments: SegmentSizes,
    /// Segments of the journal that hold so many bytes are compressed once they have a successor.
    pub compress_from: u64,
    /// Memory for sled's pages.
    pub cache_bytes: u64,
    /// How long after the first write that follows a checkpoint `store.json` becomes another file.
    pub renew_manifest_after: Duration,
    /// Called with the epoch once the folder is this process's, before its index is opened: what belongs to the store and lies
    /// beside it may be opened meanwhile. Once more where the folder was held for a moment.
    pub owned: Arc<dyn Fn(&str) + Send + Sync>,
    /// Called with how far building the index has come.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
    /// Called after appends and flushes.
    pub observer: Arc<dyn StoreObserver>,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            files: Arc::new(SystemFiles),
            clock: clock::system(),
            boot_id: manifest::boot_id(),
            segments: SegmentSizes::default(),
            compress_from: COMPRESS_FROM,
            cache_bytes: 16 * 1024 * 1024,
            renew_manifest_after: RENEW_MANIFEST_AFTER,
            owned: Arc::new(|_| {}),
            progress: Arc::new(|_| {}),
            observer: Arc::new(Unobserved),
        }
    }
}
