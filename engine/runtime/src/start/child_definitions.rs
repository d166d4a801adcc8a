//! Definitions of children that a pipeline names by path.

use crate::error::PipelineError;
use everfold_base::json::Hash;
use everfold_language::definition;
use everfold_language::definition::{Definition, NestedPipeline};
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

const CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const CACHED_OF_PARENTS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Cached definitions of children, by the parent's definition and the path: thousands of items
/// may start the same one.
pub(crate) struct Children {
    named: Mutex<LruCache<(Hash, String), Arc<Definition>>>,
    nested: Mutex<LruCache<Hash, Arc<[NestedPipeline]>>>,
}

impl Default for Children {
    fn default() -> Self {
        let (named, nested) = (LruCache::new(CACHED), LruCache::new(CACHED_OF_PARENTS));
        Self { named: Mutex::new(named), nested: Mutex::new(nested) }
    }
}

impl Children {
    /// The pipeline that `parent` names by path.
    pub(crate) fn get(&self, parent: &Definition, path: &str) -> Result<Arc<Definition>, PipelineError> {
        let key = (parent.hash(), path.to_owned());
        let mut known = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(definition) = known.get(&key) {
            return Ok(Arc::clone(definition));
        }
        let definition = Arc::new(definition::child(parent, path)?.definition);
        known.put(key, Arc::clone(&definition));
        Ok(definition)
    }

    /// All pipelines nested in a definition.
    pub(crate) fn nested(&self, definition: &Definition) -> Arc<[NestedPipeline]> {
        // It names no file, so none by path.
        if definition.files.is_empty() {
            return Arc::default();
        }
        let mut known = self.nested.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || definition::nested(definition).into();
        Arc::clone(known.get_or_insert(definition.hash(), read))
    }
}
