//! Definitions of children that a pipeline names by path.

use crate::error::PipelineError;
use everfold_base::json::Hash;
use everfold_language::definition;
use everfold_language::definition::Definition;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

const CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Cached definitions of children, by the parent's definition and the path: thousands of items
/// may start the same one.
pub(crate) struct Children(Mutex<LruCache<(Hash, String), Arc<Definition>>>);

impl Default for Children {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CACHED)))
    }
}

impl Children {
    /// The pipeline that `parent` names by path.
    pub(crate) fn get(&self, parent: &Definition, path: &str) -> Result<Arc<Definition>, PipelineError> {
        let key = (parent.hash(), path.to_owned());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(definition) = known.get(&key) {
            return Ok(Arc::clone(definition));
        }
        let definition = Arc::new(definition::child(parent, path)?.definition);
        known.put(key, Arc::clone(&definition));
        Ok(definition)
    }
}
