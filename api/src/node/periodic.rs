//! What a node does periodically. One scheduler (`tokio-cron-scheduler`) drives all of it, from here.
//!
//! | duty | period | what it does | bound | when one overruns |
//! | --- | --- | --- | --- | --- |
//! | `clock` | 1 s | Asks the engine which moments of schedules have come, and gives up deliveries that waited too long. | One look at a time, which resolves once its facts are durable. | The ticks meanwhile count as one; the next look sees every moment since the last recorded one. |
//! | `workspaces` | 1 h | Removes workspaces that ended runs left behind. | One sweep at a time, over the runs whose workspace is there. | The ticks meanwhile count as one; what one sweep leaves, the next one takes. |
//!
//! Law: a tick decides nothing. Which moments have come is decided in the core, on the time that the engine
//! reads; so a tick that is late, lost or doubled changes nothing. A duty never delays another one.
//!
//! What has a timer of its own, and why it is none of these:
//! - The store (group commit, checkpoints by size and age, repair of the index) and the read models (checkpoints) wait
//!   on threads of their own for their own work, and must do so while the runtime is busy.
//! - Timers of runs, leases of workers, slots, budgets, retries of notices: deadlines of single actors. The engine sleeps
//!   until the next one and looks at nothing in between.
//! - Living work of former engines (`runtime/src/recovery/orphan_resources.rs`): counted after a start until it has ended, and never again.
//! - Traces: the sender hands over what it has gathered, once a second, also where this process goes on with one run
//!   alone and keeps none of these duties.
//! - Metrics and health: worked out when they are asked for. Callers that have gone are forgotten by the count of requests.

use std::sync::Arc;

use everfold_engine::clock;
use everfold_engine::driver::Engine;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

/// How often a duty is done.
#[derive(Debug, Clone, Copy)]
enum DutyPeriod {
    Second,
    /// Counted from the start of the node.
    Hour,
}

impl DutyPeriod {
    /// The period as a cron expression with seconds.
    fn cron(self) -> String {
        match self {
            Self::Second => "* * * * * *".to_owned(),
            Self::Hour => {
                let second = clock::now().0.div_euclid(1_000).rem_euclid(3_600);
                format!("{} {} * * * *", second % 60, second / 60)
            }
        }
    }
}

/// One row of the table above.
struct Duty {
    name: &'static str,
    period: DutyPeriod,
    work: fn(Engine) -> BoxFuture<'static, ()>,
}

const DUTIES: [Duty; 2] = [
    Duty { name: "clock", period: DutyPeriod::Second, work: |engine| look_at_clock(engine).boxed() },
    Duty { name: "workspaces", period: DutyPeriod::Hour, work: |engine| sweep_workspaces(engine).boxed() },
];

async fn look_at_clock(engine: Engine) {
    engine.look_at_clock().await;
}

async fn sweep_workspaces(engine: Engine) {
    if let Err(error) = engine.sweep().await {
        tracing::warn!(%error, "workspaces that ended runs left behind were not looked for");
    }
}

/// Does the duties until `closing`.
///
/// # Errors
/// The scheduler does not start.
pub(super) async fn keep(engine: Engine, closing: CancellationToken) -> Result<(), JobSchedulerError> {
    let mut scheduler = JobScheduler::new().await?;
    for duty in DUTIES {
        // Holds one tick at most: those that come while the duty is being done count as one.
        let due = Arc::new(Notify::new());
        let tick = Arc::clone(&due);
        let job = Job::new_async(duty.period.cron().as_str(), move |_job, _scheduler| {
            let tick = Arc::clone(&tick);
            async move { tick.notify_one() }.boxed()
        })?;
        scheduler.add(job).await?;
        tokio::spawn(repeat(duty, due, engine.clone(), closing.clone()));
    }
    scheduler.start().await?;
    tokio::spawn(async move {
        closing.cancelled().await;
        if let Err(error) = scheduler.shutdown().await {
            tracing::debug!(%error, "the ticks did not end in order");
        }
    });
    Ok(())
}

/// Does one duty at each tick, one at a time.
async fn repeat(duty: Duty, due: Arc<Notify>, engine: Engine, closing: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            () = due.notified() => {}
        }
        (duty.work)(engine.clone()).await;
        tracing::trace!(duty = duty.name, "done");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_takes_every_period() {
        for duty in DUTIES {
            let job = Job::new_async(duty.period.cron().as_str(), |_job, _scheduler| async {}.boxed());
            assert!(job.is_ok(), "{}: {}", duty.name, duty.period.cron());
        }
    }

    #[test]
    fn the_table_lists_every_duty() {
        let table = include_str!("periodic.rs");
        for duty in DUTIES {
            assert!(table.contains(&format!("//! | `{}` |", duty.name)), "{}", duty.name);
        }
    }
}
