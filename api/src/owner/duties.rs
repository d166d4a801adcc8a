//! What an owner does by the clock: it looks for moments of schedules that have come, gives up what waited
//! too long, and from time to time removes workspaces that ended runs left behind.
//!
//! Law: the ticks decide nothing. Which moments have come is decided in the core, on the time that the engine
//! reads; so a tick that is late, lost or doubled changes nothing.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use everfold_engine::driver::Engine;

/// Looks between two sweeps of workspaces: an hour of them.
const SWEEP_EVERY: u64 = 3_600;

/// Keeps the duties until `closing`.
///
/// # Errors
/// The ticks cannot be begun.
pub(super) async fn keep(engine: Engine, closing: CancellationToken) -> Result<(), JobSchedulerError> {
    let mut ticks = JobScheduler::new().await?;
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let each_second = Job::new_async("* * * * * *", move |_job, _scheduler| {
        let ring = Arc::clone(&ring);
        Box::pin(async move { ring.notify_one() })
    })?;
    ticks.add(each_second).await?;
    ticks.start().await?;
    tokio::spawn(async move {
        let mut looks: u64 = 0;
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                () = bell.notified() => {}
            }
            engine.look_at_clock().await;
            looks += 1;
            if looks.is_multiple_of(SWEEP_EVERY)
                && let Err(error) = engine.sweep().await
            {
                tracing::warn!(%error, "workspaces that ended runs left behind were not looked for");
            }
        }
        if let Err(error) = ticks.shutdown().await {
            tracing::debug!(%error, "the ticks did not end in order");
        }
    });
    Ok(())
}
