//! The metrics that are worked out when they are asked for: gauges of runs, tasks, queues and read models.

use std::collections::BTreeMap;

use everfold_engine::clock;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_projections::{RunFilter, RunOrder};

use super::handle::Node;
use crate::fault::Fault;
use crate::metrics::MetricsSnapshot;

/// Running runs whose active steps are counted; of more runs, the oldest.
const ROWS: usize = 1_000;

impl Node {
    /// Runs by status, attempts in progress, and the age of the oldest queued run and the oldest open task.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn metrics_snapshot(&self) -> Result<MetricsSnapshot, Fault> {
        let now = clock::now();
        let (counts, running, queued) = self
            .runs(None, |runs| {
                let first = |status, limit| {
                    let filter = RunFilter { status, ..RunFilter::default() };
                    runs.list(&filter, RunOrder::Oldest, None, limit, None)
                };
                let at_work = vec![RunStatus::Running, RunStatus::Stopping];
                Ok((runs.counts(None)?, first(at_work, ROWS)?, first(vec![RunStatus::Queued], 1)?))
            })
            .await?;
        let runs: BTreeMap<&'static str, u64> =
            counts.by_status.iter().map(|(status, count)| (status.as_str(), *count)).collect();
        let attempts = running.items.iter().map(|row| row.shown.steps.len() as u64).sum();
        let queued = queued.items.first().map(|row| row.started_at);
        let (tasks, first) = self
            .inbox(None, |inbox| Ok((inbox.open_count(None)?, inbox.list(None, None, None, 1, None)?)))
            .await?;
        let oldest = first.items.first().map(|task| task.since);
        let age = |since: Option<Timestamp>| since.map_or(0.0, |since| now.since(since).as_secs_f64());
        let position = self.store.last_position().get();
        Ok(MetricsSnapshot {
            runs: runs.into_iter().collect(),
            attempts,
            oldest_task: age(oldest),
            oldest_queued: age(queued),
            tasks,
            position,
            lag: self.views.status().into_iter().map(|model| (model.name, model.lag)).collect(),
            set_aside: self.set_aside().len() as u64,
            notices_lost: self.lost_count().await?,
        })
    }
}
