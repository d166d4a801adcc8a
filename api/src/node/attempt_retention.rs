//! Keeps the folders of attempts within the limits of `[logs]`, and puts those of ended runs into archives.
//!
//! Law: what the read models say of a run counts: where they are behind, a run has not ended yet and its folders stay.

use std::sync::Arc;

use everfold_engine::clock;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::{Position, RunId};
use everfold_projections::ReadSide;
use everfold_workflows::process::{archive_attempts, remove_old_attempts, runs_with_attempts};
use everfold_workflows::settings::AttemptLimits;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Removes and archives folders of attempts. Cheap to clone.
#[derive(Clone)]
pub(super) struct AttemptRetention {
    pub(super) layout: Layout,
    pub(super) views: Arc<ReadSide>,
    pub(super) limits: AttemptLimits,
    /// Once cancelled, nothing further is removed or archived.
    pub(super) closing: CancellationToken,
    /// Held by the sweep that removes and archives.
    pub(super) sweeping: Arc<Mutex<()>>,
}

impl AttemptRetention {
    /// Removes the folders that are over the limits, and archives those that are old enough, as of `min` at least. What cannot
    /// be done now is tried again with the next tick.
    pub(super) async fn sweep(self, min: Option<Position>) {
        match self.try_sweep(min).await {
            Ok((0, 0)) => {}
            Ok((removed, archived)) => tracing::info!(
                removed,
                archived,
                "folders of attempts over the limits of [logs] were removed, older ones put into archives"
            ),
            Err(error) => tracing::warn!(error, "folders of attempts were not looked through"),
        }
    }

    async fn try_sweep(self, min: Option<Position>) -> Result<(u64, u64), String> {
        let Self { layout, views, limits, closing, sweeping } = self;
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
        let sweeping = sweeping.lock_owned().await;
        blocking(move || {
            let _sweeping = sweeping;
            let (now, goes_on) = (clock::now(), || !closing.is_cancelled());
            let removed = remove_old_attempts(&attempts, &ended, limits, now, &goes_on);
            Ok((removed, archive_attempts(&attempts, &ended, limits, now, &goes_on)))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}
