//! Cancels the runs of a schedule that was removed with them.
//!
//! Law: that they are to be cancelled is durable with the removal (`RunsCancelMeant`), and the runs are those of earlier
//! moments. Cancelling once more after a crash cancels no other run, and no run twice.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::oneshot;

use crate::deps::Deps;
use crate::error::SubmitError;
use crate::retry::{BUSY_AGAIN, FAILED_AGAIN, Patience};
use crate::runtime::Runtime;
use crate::start::submission::Submission;
use crate::stream_pages::StreamPages;
use crate::streams::schedules::actor::ScheduleActor;
use crate::streams::schedules::failure::ScheduleFailure;
use crate::streams::schedules::moments::is_open;
use crate::streams::schedules::schedule_stream::{PAGE, ScheduleStream, decoded};
use crate::streams::schedules::schedule_work::{CancelledRuns, ScheduleWork};
use crate::streams::stream_writer::StreamError;
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::id::{InputId, Position, RunId, Version};
use everfold_core::event::CancelRequested;
use everfold_core::input::InputKind;
use everfold_core::schedules::{CancelOrder, RunsCancelSettled, ScheduleEvent, ScheduleState, stream};
use everfold_core::triggers::Outcome;

/// Cancelled runs that the fact of it names.
const RUNS_NAMED_MAX: usize = 10_000;

impl ScheduleActor {
    /// Begins to cancel the runs of removed schedules, as soon as their moments have led to theirs.
    pub(super) async fn cancel_runs(&mut self) -> Result<(), StreamError> {
        let shared = Arc::clone(&self.shared);
        if shared.is_stopping() || !self.is_read() {
            return Ok(());
        }
        let (is_attended, now) = (self.is_attended, shared.steady());
        let mut begun = Vec::new();
        for (name, schedule) in self.all().await? {
            let Some(order) = schedule.state.cancelling().cloned() else { continue };
            let has_earlier = schedule.state.waiting().keys().any(|tick| *tick < order.meant);
            let rests = schedule.rests_until.is_some_and(|until| until > now);
            let is_wanted = is_attended || !schedule.awaits_cancel.is_empty();
            if is_wanted && !has_earlier && !rests && !schedule.is_cancelling {
                schedule.is_cancelling = true;
                begun.push((name.clone(), order));
            }
        }
        for (name, order) in begun {
            let shared = Arc::clone(&shared);
            self.inbox.spawn(async move {
                let meant = order.meant;
                let runs = AssertUnwindSafe(cancel(&shared, &name, &order)).catch_unwind().await;
                let runs = runs.unwrap_or_else(|_panic| {
                    tracing::error!(
                        schedule = name,
                        "cancelling its runs ended in a panic; it is tried again"
                    );
                    Err(EngineStopped)
                });
                ScheduleWork::Cancelled(CancelledRuns { name, meant, runs })
            });
        }
        Ok(())
    }

    /// Records that the runs are cancelled, and informs the callers that wait for it.
    pub(super) async fn cancelled(&mut self, cancelled: CancelledRuns) -> Result<(), StreamError> {
        let CancelledRuns { name, meant, runs } = cancelled;
        let until = self.shared.steady().plus(FAILED_AGAIN);
        if let Some(schedule) = self.all().await?.get_mut(&name) {
            schedule.is_cancelling = false;
            if runs.is_err() {
                schedule.rests_until = Some(until);
            }
        }
        let Ok(runs) = runs else { return Ok(()) };
        let named = runs.iter().copied().take(RUNS_NAMED_MAX).collect();
        let event = ScheduleEvent::RunsCancelSettled(RunsCancelSettled { meant, runs: named });
        let decide = |state: &ScheduleState| match state.cancelling() {
            Some(order) if order.meant <= meant => vec![event.clone()],
            _settled_or_another => Vec::new(),
        };
        let recorded = self.record(&name, &Actor::Engine.into(), decide).await;
        recorded.map_err(ScheduleFailure::stream_error)?;
        let Some(schedule) = self.all().await?.get_mut(&name) else { return Ok(()) };
        if schedule.state.cancelling().is_none() {
            for waiting in schedule.awaits_cancel.drain(..) {
                let _gone = waiting.send(runs.clone());
            }
        }
        Ok(())
    }
}

/// Sends the runs that were cancelled with the removal at a position; where they still are to be, once they are.
pub(super) async fn await_cancel(
    shared: &Deps,
    name: &str,
    schedule: Option<&mut ScheduleStream>,
    removed: Position,
    sender: oneshot::Sender<Vec<RunId>>,
) -> Result<(), StreamError> {
    if let Some(schedule) = schedule
        && schedule.state.cancelling().is_some()
    {
        schedule.awaits_cancel.retain(|waiting| !waiting.is_closed());
        schedule.awaits_cancel.push(sender);
        return Ok(());
    }
    let stream = stream(name);
    let mut pages = StreamPages::new(shared.store.as_ref(), &stream, Version::FIRST, PAGE);
    while let Some(page) = pages.next().await.map_err(|error| StreamError::store(&error))? {
        for envelope in page.iter().filter(|envelope| envelope.position > removed) {
            if let ScheduleEvent::RunsCancelSettled(settled) =
                decoded(envelope).map_err(StreamError::Store)?
            {
                let _gone = sender.send(settled.runs);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Cancels the runs of the moments before an order that have not ended.
async fn cancel(shared: &Arc<Runtime>, name: &str, order: &CancelOrder) -> Result<Vec<RunId>, EngineStopped> {
    let found = unended_runs(shared, name, order.meant).await;
    let runs = found.map_err(|error| {
        tracing::error!(schedule = name, %error, "its runs cannot be read; it is tried again");
        EngineStopped
    })?;
    let mut cancelled = Vec::new();
    for run in runs {
        if cancel_run(shared, name, order, run).await? {
            cancelled.push(run);
        }
    }
    Ok(cancelled)
}

/// Cancels a run; false where it has ended meanwhile.
async fn cancel_run(
    shared: &Arc<Runtime>,
    name: &str,
    order: &CancelOrder,
    run: RunId,
) -> Result<bool, EngineStopped> {
    let why = order.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let reason = Some(format!("the schedule {name} was removed{why}"));
    let submission = Submission {
        run,
        kind: InputKind::Cancel(CancelRequested { reason }),
        actor: Actor::Schedule(name.to_owned()),
        id: Some(InputId::derive(&format!("{run}/schedule/{name}/{}/cancel", order.meant))),
        dedup: None,
    };
    let mut patience = Patience::new(run, "a run of a removed schedule cannot be cancelled");
    loop {
        if shared.is_stopping() {
            return Err(EngineStopped);
        }
        match shared.submit(submission.clone()).await {
            Ok(_) => return Ok(true),
            Err(SubmitError::Busy) => tokio::time::sleep(BUSY_AGAIN).await,
            Err(SubmitError::ShuttingDown) => return Err(EngineStopped),
            Err(error @ (SubmitError::Full | SubmitError::Store(_))) => patience.wait(&error).await,
            Err(SubmitError::SetAside { run, reason }) => {
                tracing::warn!(%run, reason, "a run of a removed schedule is set aside, and not cancelled");
                return Ok(false);
            }
            // It is over, or is being cancelled already.
            Err(_over) => return Ok(false),
        }
    }
}

/// The runs of a schedule that have not ended and are set aside: cancelling its runs leaves them as they are.
pub(crate) async fn set_aside_runs(shared: &Arc<Runtime>, name: &str) -> Result<Vec<RunId>, StreamError> {
    if shared.quarantined().is_empty() {
        return Ok(Vec::new());
    }
    let mut runs = unended_runs(shared, name, Version(u64::MAX)).await?;
    let quarantined = shared.quarantined();
    runs.retain(|run| quarantined.contains_key(run));
    Ok(runs)
}

/// The runs that moments before a version started, and that have not ended.
async fn unended_runs(shared: &Arc<Runtime>, name: &str, before: Version) -> Result<Vec<RunId>, StreamError> {
    let stream = stream(name);
    let mut pages = StreamPages::new(shared.store.as_ref(), &stream, Version::FIRST, PAGE);
    let mut unended = Vec::new();
    while let Some(page) = pages.next().await.map_err(|error| StreamError::store(&error))? {
        for envelope in &page {
            if let ScheduleEvent::TickSettled(settled) = decoded(envelope).map_err(StreamError::Store)?
                && let Outcome::Started { run } = settled.outcome
                && settled.tick < before
                && is_open(shared, Some(run)).await?
            {
                unended.push(run);
            }
        }
    }
    Ok(unended)
}
