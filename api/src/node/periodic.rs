//! What a node does periodically. One scheduler (`tokio-cron-scheduler`) drives all of it, from here.
//!
//! | duty | period | what it does | bound | when one overruns |
//! | --- | --- | --- | --- | --- |
//! | `clock` | 1 s | Asks the engine which moments of schedules have come, and gives up deliveries that waited too long. | One look at a time, which resolves once its facts are durable. | The ticks meanwhile count as one; the next look sees every moment since the last recorded one. |
//! | `credentials` | 1 min | Removes credentials of runs that have ended or are not there, and those that are too old. | One sweep at a time, over the runs for which some are kept. | The ticks meanwhile count as one; what one sweep leaves, the next one takes. |
//! | `workspaces` | 1 h | Removes workspaces that ended runs left behind. | One sweep at a time, over the runs whose workspace is there. | The ticks meanwhile count as one; what one sweep leaves, the next one takes. |
//! | `attempts` | 1 h | Removes folders of attempts over the limits of `[logs]`, and puts older ones into the archive of their run. | One sweep at a time, over the folders of runs that have ended. | The ticks meanwhile count as one; what one sweep leaves, the next one takes. |
//!
//! Law: a tick decides nothing. Which moments have come is decided in the core, on the time that the engine
//! reads; so a tick that is late, lost or doubled changes nothing. A duty never delays another one.
//!
//! The scheduler goes by the machine's clock: where that is set back, the next tick would come when the clock has caught
//! up. So the node compares the clock with its last reading each second, by a timer that does not jump, and begins with
//! a new scheduler where the clock shows less.
//!
//! What has a timer of its own, and why it is none of these:
//! - The store (group commit, checkpoints by size and age, repair of the index) and the read models (checkpoints) wait
//!   on threads of their own for their own work, and must do so while the runtime is busy.
//! - Timers of runs, leases of workers, slots, budgets, retries of notices: deadlines of single actors. The engine sleeps
//!   until the next one and looks at nothing in between.
//! - Living work of former engines (`engine/runtime/src/recovery/orphan_resources.rs`): counted after a start until it has ended, and never again.
//! - Traces: the sender hands over what it has gathered, once a second, also where this process goes on with one run
//!   alone and keeps none of these duties.
//! - Metrics and health: worked out when they are asked for. Callers that have gone are forgotten by the count of requests.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::driver::Engine;
use everfold_engine::time::Timestamp;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use super::attempt_retention::AttemptRetention;

/// How often a duty is done.
#[derive(Debug, Clone, Copy)]
enum DutyPeriod {
    Second,
    Minute,
    /// Counted from the start of the scheduler.
    Hour,
}

impl DutyPeriod {
    /// The period as a cron expression with seconds.
    fn cron(self) -> String {
        match self {
            Self::Second => "* * * * * *".to_owned(),
            Self::Minute => "0 * * * * *".to_owned(),
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
    work: fn(Kept) -> BoxFuture<'static, ()>,
}

/// What the duties work on. Cheap to clone.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) engine: Engine,
    pub(super) attempts: AttemptRetention,
}

const DUTIES: [Duty; 4] = [
    Duty { name: "clock", period: DutyPeriod::Second, work: |kept| look_at_clock(kept.engine).boxed() },
    Duty {
        name: "credentials",
        period: DutyPeriod::Minute,
        work: |kept| sweep_credentials(kept.engine).boxed(),
    },
    Duty { name: "workspaces", period: DutyPeriod::Hour, work: |kept| sweep_workspaces(kept.engine).boxed() },
    Duty { name: "attempts", period: DutyPeriod::Hour, work: |kept| kept.attempts.sweep(None).boxed() },
];

async fn look_at_clock(engine: Engine) {
    engine.look_at_clock().await;
}

/// Removes credentials that no run needs any more; what cannot be done now is tried again with the next tick.
pub(super) async fn sweep_credentials(engine: Engine) {
    if let Err(error) = engine.sweep_credentials().await {
        tracing::warn!(%error, "credentials that no run needs were not looked for");
    }
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
pub(super) async fn keep(kept: Kept, closing: CancellationToken) -> Result<(), JobSchedulerError> {
    // Each holds one tick at most: those that come while the duty is being done count as one.
    let due: Vec<Arc<Notify>> = DUTIES.iter().map(|_| Arc::default()).collect();
    // Read before the scheduler reads it: a clock that is set back between the two is noticed.
    let mut begun_at = clock::now();
    let mut scheduler = started(&due).await?;
    for (duty, due) in DUTIES.into_iter().zip(&due) {
        tokio::spawn(repeat(duty, Arc::clone(due), kept.clone(), closing.clone()));
    }
    tokio::spawn(async move {
        while closing.run_until_cancelled(set_back(begun_at, clock::now)).await.is_some() {
            stop(scheduler).await;
            tracing::info!("the clock was set back: the periodic duties go by its new reading");
            begun_at = clock::now();
            scheduler = loop {
                match started(&due).await {
                    Ok(scheduler) => break scheduler,
                    Err(error) => tracing::error!(%error, "the periodic duties stand still; beginning again"),
                }
                let pause = tokio::time::sleep(Duration::from_secs(1));
                if closing.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            };
        }
        stop(scheduler).await;
    });
    Ok(())
}

/// A scheduler that ticks for each duty.
async fn started(due: &[Arc<Notify>]) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (duty, due) in DUTIES.iter().zip(due) {
        let due = Arc::clone(due);
        let job = Job::new_async(duty.period.cron().as_str(), move |_job, _scheduler| {
            let due = Arc::clone(&due);
            async move { due.notify_one() }.boxed()
        })?;
        scheduler.add(job).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

async fn stop(mut scheduler: JobScheduler) {
    if let Err(error) = scheduler.shutdown().await {
        tracing::debug!(%error, "the ticks did not end in order");
    }
}

/// Resolves when the clock shows less than at its last reading, a second before; `last` is the first of them.
async fn set_back(mut last: Timestamp, read: impl Fn() -> Timestamp) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = read();
        if now < last {
            return;
        }
        last = now;
    }
}

/// Does one duty at each tick, one at a time.
async fn repeat(duty: Duty, due: Arc<Notify>, kept: Kept, closing: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            () = due.notified() => {}
        }
        (duty.work)(kept.clone()).await;
        tracing::trace!(duty = duty.name, "done");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn the_scheduler_takes_every_period() {
        for duty in DUTIES {
            let job = Job::new_async(duty.period.cron().as_str(), |_job, _scheduler| async {}.boxed());
            assert!(job.is_ok(), "{}: {}", duty.name, duty.period.cron());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_is_noticed_within_a_second_and_one_that_goes_on_is_not() {
        let wall = Arc::new(AtomicI64::new(1_000_000));
        let read = {
            let wall = Arc::clone(&wall);
            move || Timestamp(wall.load(Ordering::Relaxed))
        };
        let mut noticed = std::pin::pin!(set_back(Timestamp(1_000_000), read));
        for _second in 0..100 {
            wall.fetch_add(1_000, Ordering::Relaxed);
            let waited = tokio::time::timeout(Duration::from_secs(1), &mut noticed).await;
            assert!(waited.is_err(), "the clock goes on");
        }
        wall.fetch_sub(3_600_000, Ordering::Relaxed);
        let waited = tokio::time::timeout(Duration::from_secs(2), &mut noticed).await;
        assert!(waited.is_ok(), "the clock was set back by an hour");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_while_a_scheduler_starts_is_noticed() {
        let noticed = set_back(Timestamp(1_000_000), || Timestamp(400_000));
        let waited = tokio::time::timeout(Duration::from_secs(2), noticed).await;
        assert!(waited.is_ok(), "the scheduler may have read the clock before");
    }

    #[tokio::test]
    async fn a_scheduler_that_follows_another_one_ticks() {
        let due: Vec<Arc<Notify>> = DUTIES.iter().map(|_| Arc::default()).collect();
        stop(started(&due).await.unwrap()).await;
        let second = started(&due).await.unwrap();
        due[0].notified().await;
        stop(second).await;
    }

    #[test]
    fn the_table_lists_every_duty() {
        let table = include_str!("periodic.rs");
        for duty in DUTIES {
            assert!(table.contains(&format!("//! | `{}` |", duty.name)), "{}", duty.name);
        }
    }
}
