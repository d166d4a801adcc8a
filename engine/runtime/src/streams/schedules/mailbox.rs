//! The mailbox of the schedule task, and what it is asked.

use crate::ledger::Change;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::record::{NewSchedule, ScheduleRecord, Ticked};
use crate::streams::triggers::by::By;
use everfold_base::id::{RunId, Version};
use std::sync::Mutex;
use std::sync::PoisonError;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Requests that wait for the actor; callers that bring more wait, too.
const WAITING_MAX: usize = 64;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, ScheduleError>>;

/// A request to the schedule actor.
pub(crate) enum ScheduleRequest {
    /// Another version of a pipeline is saved.
    Sync(oneshot::Sender<()>),
    /// It is to look at the clock.
    Look(oneshot::Sender<()>),
    /// A schedule is to be there.
    Add(Box<NewSchedule>, By, Answer<Change>),
    /// A schedule is to be no more.
    Remove(String, By, Option<String>, Answer<Change>),
    /// A schedule is to stand still, or to go on.
    Pause(String, bool, By, Option<String>, Answer<Change>),
    /// What a moment would do is to be done now.
    Trigger(String, By, Answer<Ticked>),
    /// Runs are about to get a signal.
    RecordTargets(String, Version, Vec<RunId>, oneshot::Sender<()>),
    /// All schedules.
    List(Answer<Vec<ScheduleRecord>>),
}

/// The mailbox of the schedule actor.
pub(crate) struct SchedulePost {
    pub(crate) asks: mpsc::Sender<ScheduleRequest>,
    pub(crate) requests: Mutex<Option<mpsc::Receiver<ScheduleRequest>>>,
}

impl Default for SchedulePost {
    fn default() -> Self {
        let (asks, requests) = mpsc::channel(WAITING_MAX);
        Self { asks, requests: Mutex::new(Some(requests)) }
    }
}

impl SchedulePost {
    /// The receiving end, once.
    pub(crate) fn take(&self) -> Option<mpsc::Receiver<ScheduleRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Resolves when the schedules are those of the newest saved pipelines.
    pub(crate) async fn sync(&self) {
        let (answer, done) = oneshot::channel();
        if self.asks.send(ScheduleRequest::Sync(answer)).await.is_ok() {
            // An actor that is gone leaves it to the next engine.
            let _gone = done.await;
        }
    }

    pub(crate) async fn ask<T>(
        &self,
        ask: impl FnOnce(Answer<T>) -> ScheduleRequest,
    ) -> Result<T, ScheduleError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| ScheduleError::ShuttingDown)?;
        answered.await.unwrap_or(Err(ScheduleError::ShuttingDown))
    }
}
