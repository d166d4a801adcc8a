//! Counts the appends and flushes that the store reports.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::store::{Flushed, StoreObserver};

use super::registry::Metrics;

/// Passes the store's figures to the metrics.
pub struct StoreMetrics(pub Arc<Metrics>);

impl StoreObserver for StoreMetrics {
    fn appended(&self, took: Duration, was_taken: bool) {
        let result = if was_taken { "taken" } else { "refused" };
        self.0.appends.get_or_create(&vec![("result", result.into())]).observe(took.as_secs_f64());
    }

    fn flushed(&self, group: Flushed) {
        self.0.flush.observe(group.took.as_secs_f64());
        // At most a thousand.
        self.0.batch.observe(u32::try_from(group.appends).map_or(f64::MAX, f64::from));
        self.0.written.inc_by(group.bytes as u64);
    }
}
