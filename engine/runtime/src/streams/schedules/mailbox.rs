//! Requests to the schedule actor.

use tokio::sync::oneshot;

use crate::aggregate_store::Change;
use crate::streams::mailbox::Mailbox;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::record::{
    NewSchedule, Removal, RemovedSchedule, ScheduleRecord, ScheduleUpdate, Ticked,
};
use crate::streams::triggers::by::By;
use everfold_base::id::{RunId, Version};

/// Requests that wait for the actor; callers that bring more wait, too.
pub(crate) const WAITING_MAX: usize = 64;

/// The schedule actor's mailbox.
pub(crate) type ScheduleMailbox = Mailbox<ScheduleRequest>;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, ScheduleError>>;

/// A request to the schedule actor.
pub(crate) enum ScheduleRequest {
    /// Another version of a pipeline is saved.
    Sync(oneshot::Sender<()>),
    /// The clock went on.
    Look(oneshot::Sender<()>),
    /// Adds a schedule.
    Add(Box<NewSchedule>, By, Answer<Change>),
    /// Makes a schedule another one.
    Update(Box<ScheduleUpdate>, By, Answer<Change>),
    /// Removes a schedule.
    Remove(Removal, By, Answer<RemovedSchedule>),
    /// Pauses a schedule, or resumes it.
    Pause(String, bool, By, Option<String>, Answer<Change>),
    /// Does now what a moment would do.
    Trigger(String, By, Answer<Ticked>),
    /// These runs are about to get a signal.
    RecordTargets(String, Version, Vec<RunId>, oneshot::Sender<()>),
    /// All schedules.
    List(Answer<Vec<ScheduleRecord>>),
}

impl ScheduleMailbox {
    /// Resolves when the schedules are those of the newest saved pipelines.
    pub(crate) async fn sync(&self) {
        // Where the actor is gone, the next engine does it.
        let _closed = self.ask(ScheduleRequest::Sync).await;
    }

    /// Sends a request that may be refused.
    pub(crate) async fn request<T>(
        &self,
        request: impl FnOnce(Answer<T>) -> ScheduleRequest,
    ) -> Result<T, ScheduleError> {
        self.ask(request).await.unwrap_or(Err(ScheduleError::ShuttingDown))
    }
}
