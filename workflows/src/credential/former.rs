//! The values that a credential of a run had before it was replaced: work of the run may still come across them.
//!
//! Law: they are in memory alone, bounded, and go with the end of their run.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use everfold_base::id::RunId;
use lru::LruCache;

/// Former values of one credential that are remembered.
const VALUES_MAX: usize = 4;
/// Runs whose values are remembered: those that asked last.
const RUNS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// Of each run by name, the newest value first.
type ByRun = LruCache<RunId, BTreeMap<String, Vec<String>>>;

/// What credentials of runs were, as far as this process has looked them up.
pub(super) struct FormerCredentials(Mutex<ByRun>);

impl Default for FormerCredentials {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(RUNS_MAX)))
    }
}

impl std::fmt::Debug for FormerCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FormerCredentials(…)")
    }
}

impl FormerCredentials {
    /// Notes what a credential is now; returns what it was before.
    pub(super) fn before(&self, run: RunId, name: &str, value: &str) -> Vec<String> {
        let mut known = self.known();
        let values = known.get_or_insert_mut(run, BTreeMap::new).entry(name.to_owned()).or_default();
        values.retain(|known| known != value);
        values.insert(0, value.to_owned());
        values.truncate(VALUES_MAX + 1);
        values[1..].to_vec()
    }

    /// Forgets those of a run.
    pub(super) fn forget(&self, run: RunId) {
        self.known().pop(&run);
    }

    fn known(&self) -> MutexGuard<'_, ByRun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
