//! What the metrics tell of this moment.

use std::collections::BTreeMap;

use everfold_engine::clock;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;

use super::Owner;
use crate::fault::Fault;
use crate::metrics::Moment;

impl Owner {
    /// Runs by status, what is under way, and how old the oldest of what waits is.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn moment(&self) -> Result<Moment, Fault> {
        let (now, models) = (clock::now(), self.models().await?);
        let mut runs: BTreeMap<&'static str, u64> =
            RunStatus::ALL.iter().map(|it| (it.as_str(), 0)).collect();
        let (mut attempts, mut queued) = (0, None::<Timestamp>);
        for row in models.runs.newest().filter_map(|run| models.runs.get(run)) {
            *runs.entry(row.status.as_str()).or_default() += 1;
            if row.status == RunStatus::Running {
                attempts += row.steps.len() as u64;
            }
            if row.status == RunStatus::Queued {
                queued = Some(queued.map_or(row.started_at, |oldest| oldest.min(row.started_at)));
            }
        }
        let tasks = models.inbox.list(None);
        let oldest = tasks.iter().map(|task| task.since).min();
        let age = |since: Option<Timestamp>| since.map_or(0.0, |since| now.since(since).as_secs_f64());
        let position = self.store.last_position().get();
        let behind = position.saturating_sub(models.position().get());
        Ok(Moment {
            runs: runs.into_iter().collect(),
            attempts,
            oldest_task: age(oldest),
            oldest_queued: age(queued),
            tasks: tasks.len() as u64,
            position,
            lag: everfold_projections::Models::NAMES
                .iter()
                .map(|(name, _)| ((*name).to_owned(), behind))
                .collect(),
            set_aside: self.set_aside().len() as u64,
        })
    }
}
