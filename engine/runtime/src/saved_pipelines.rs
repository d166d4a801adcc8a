//! Saved pipelines as they were last folded, and the turn of those that save one.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use everfold_base::id::Version;
use everfold_core::pipeline_versions::SavedPipeline;

/// How many pipelines are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Saved pipelines by name: a start reads what was saved since.
pub(crate) struct SavedPipelines {
    folded: Mutex<LruCache<String, (Version, SavedPipeline)>>,
    /// Held while a version is saved: one is saved after the other.
    pub(crate) saving: tokio::sync::Mutex<()>,
}

impl SavedPipelines {
    pub(crate) fn new() -> Self {
        Self { folded: Mutex::new(LruCache::new(KEPT)), saving: tokio::sync::Mutex::default() }
    }

    /// The pipeline, and the first version that it was not folded over.
    pub(crate) fn get(&self, name: &str) -> (Version, SavedPipeline) {
        self.folded().get(name).cloned().unwrap_or((Version::FIRST, SavedPipeline::default()))
    }

    /// Keeps a pipeline, unless a later one is kept.
    pub(crate) fn keep(&self, name: &str, next: Version, saved: &SavedPipeline) {
        let mut folded = self.folded();
        if folded.peek(name).is_none_or(|(kept, _)| *kept < next) {
            folded.put(name.to_owned(), (next, saved.clone()));
        }
    }

    fn folded(&self) -> MutexGuard<'_, LruCache<String, (Version, SavedPipeline)>> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
