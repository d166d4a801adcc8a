//! Keeps the folders of attempts within the limits of `[logs]`.
//!
//! Law: what the read models say of a run counts: where they are behind, a run has not ended yet and its folders stay.

use std::sync::Arc;

use everfold_engine::clock;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::{Position, RunId};
use everfold_projections::ReadSide;
use everfold_workflows::process::{remove_old_attempts, runs_with_attempts};
use everfold_workflows::settings::AttemptLimits;

/// Removes folders of attempts. Cheap to clone.
#[derive(Clone)]
pub(super) struct AttemptRetention {
    pub(super) layout: Layout,
    pub(super) views: Arc<ReadSide>,
    pub(super) limits: AttemptLimits,
}

impl AttemptRetention {
    /// Removes the folders that are over the limits, as of `min` at least. What cannot be removed now is tried again with the
    /// next tick.
    pub(super) async fn sweep(self, min: Option<Position>) {
        match self.try_sweep(min).await {
            Ok(0) => {}
            Ok(removed) => {
                tracing::info!(removed, "folders of attempts over the limits of [logs] were removed")
            }
            Err(error) => tracing::warn!(error, "folders of attempts were not looked through"),
        }
    }

    async fn try_sweep(self, min: Option<Position>) -> Result<u64, String> {
        let Self { layout, views, limits } = self;
        let attempts = layout.all_attempts();
        let there = blocking({
            let attempts = attempts.clone();
            move || runs_with_attempts(&attempts)
        });
        let there = there.await?;
        let ended = views.runs(min, move |runs| {
            let mut ended: Vec<RunId> = Vec::new();
            for run in there {
                if runs.get(run, None)?.is_some_and(|row| row.shown.status.is_ended()) {
                    ended.push(run);
                }
            }
            Ok(ended)
        });
        let ended = ended.await.map_err(|error| error.to_string())?.value;
        blocking(move || Ok(remove_old_attempts(&attempts, &ended, limits, clock::now()))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}
