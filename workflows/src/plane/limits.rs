//! Until when Plane asks to be left alone.
//!
//! Law: noted of every answer, and asked by what nothing else holds back: the admission of runs, whose starts are tried again
//! by themselves. Steps and gates are held back by the scheduler.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::parameters::PlaneSite;

/// Addresses that are remembered.
const SITES_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("it is not 0");
/// The longest pause that is kept.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// Until when each address is left alone.
#[derive(Clone)]
pub(super) struct PlaneLimits {
    until: Arc<Mutex<LruCache<String, Instant>>>,
}

impl Default for PlaneLimits {
    fn default() -> Self {
        Self { until: Arc::new(Mutex::new(LruCache::new(SITES_MAX))) }
    }
}

impl PlaneLimits {
    /// Plane asks to be left alone for so long.
    pub(super) fn note(&self, site: &PlaneSite, pause: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.put(key(site), Instant::now() + pause.min(PAUSE_MAX));
    }

    /// For how long it is still to be left alone.
    pub(super) fn left(&self, site: &PlaneSite) -> Option<Duration> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.get(&key(site))?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

fn key(site: &PlaneSite) -> String {
    site.url.trim().trim_end_matches('/').to_owned()
}
