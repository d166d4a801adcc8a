//! Schedules: added, removed, paused, triggered, shown.

use crate::aggregate_store::Change;
use crate::engine::handle::Engine;
use crate::redaction::{redact_json, redact_option};
use crate::streams::schedules::cancel_runs::set_aside_runs;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::history::schedule_then;
use crate::streams::schedules::mailbox::ScheduleRequest;
use crate::streams::schedules::record::{
    NewSchedule, Removal, RemovedSchedule, ScheduleRecord, ScheduleUpdate, Ticked,
};
use crate::streams::triggers::by::By;
use everfold_base::id::{Position, RunId};
use everfold_core::schedules::{ScheduleOrigin, is_name};
use everfold_language::timetable::Timetable;

impl Engine {
    /// Reads the clock: records the moments of schedules that have come, and starts what they lead to; gives up what
    /// waited for too long. To be called every second; resolves when the facts are durable.
    pub async fn look_at_clock(&self) {
        let shared = &self.inner.shared;
        shared.mailboxes.webhooks.tick();
        let _closed = shared.mailboxes.schedules.ask(ScheduleRequest::Look).await;
    }

    /// Adds a schedule; its moments count from here on.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn add_schedule(
        &self,
        mut new: NewSchedule,
        by: impl Into<By>,
    ) -> Result<Change, ScheduleError> {
        self.redact_origin(&mut new.origin);
        if !is_name(&new.name) {
            return Err(ScheduleError::BadName(new.name.chars().take(64).collect()));
        }
        Timetable::new(&new.schedule)?;
        let by = by.into();
        self.inner
            .shared
            .mailboxes
            .schedules
            .request(|answer| ScheduleRequest::Add(Box::new(new), by, answer))
            .await
    }

    /// Removes a schedule that was added.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn remove_schedule(
        &self,
        name: &str,
        reason: Option<String>,
        by: impl Into<By>,
    ) -> Result<Change, ScheduleError> {
        let order = Removal { name: name.to_owned(), reason, cancels: false };
        Ok(self.take_schedule_away(order, by).await?.change)
    }

    /// Removes a schedule that was added, where the order says so with the unended runs that it started. That they are to
    /// be cancelled is durable with the removal, and done by the next engine where this one ends before.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn take_schedule_away(
        &self,
        order: Removal,
        by: impl Into<By>,
    ) -> Result<RemovedSchedule, ScheduleError> {
        let (by, reason) = (by.into(), self.redacted(order.reason));
        let order = Removal { reason, ..order };
        self.inner
            .shared
            .mailboxes
            .schedules
            .request(|answer| ScheduleRequest::Remove(order, by, answer))
            .await
    }

    /// The runs that a schedule started, that have not ended and are set aside. An order to cancel its runs leaves them as
    /// they are.
    ///
    /// # Errors
    /// [`ScheduleError`]: what it started cannot be read.
    pub async fn schedule_runs_set_aside(&self, name: &str) -> Result<Vec<RunId>, ScheduleError> {
        let found = set_aside_runs(&self.inner.shared, name).await;
        found.map_err(|error| ScheduleError::Store(error.to_string()))
    }

    /// Makes a schedule that was added another one; where its moments are others, they count from here on. Moments that
    /// have come, its pause and its history stay.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn update_schedule(
        &self,
        mut update: ScheduleUpdate,
        by: impl Into<By>,
    ) -> Result<Change, ScheduleError> {
        self.redact_origin(&mut update.origin);
        Timetable::new(&update.schedule)?;
        let by = by.into();
        self.inner
            .shared
            .mailboxes
            .schedules
            .request(|answer| ScheduleRequest::Update(Box::new(update), by, answer))
            .await
    }

    /// Pauses a schedule, or resumes it.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn pause_schedule(
        &self,
        name: &str,
        pauses: bool,
        reason: Option<String>,
        by: impl Into<By>,
    ) -> Result<Change, ScheduleError> {
        let (name, by, reason) = (name.to_owned(), by.into(), self.redacted(reason));
        self.inner
            .shared
            .mailboxes
            .schedules
            .request(|answer| ScheduleRequest::Pause(name, pauses, by, reason, answer))
            .await
    }

    /// Does now what a moment of a schedule would do, whatever else it does.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn trigger_schedule(&self, name: &str, by: impl Into<By>) -> Result<Ticked, ScheduleError> {
        let (name, by) = (name.to_owned(), by.into());
        self.inner
            .shared
            .mailboxes
            .schedules
            .request(|answer| ScheduleRequest::Trigger(name, by, answer))
            .await
    }

    /// All schedules, in the order of their names.
    ///
    /// # Errors
    /// [`ScheduleError::Store`]
    pub async fn schedules(&self) -> Result<Vec<ScheduleRecord>, ScheduleError> {
        self.inner.shared.mailboxes.schedules.request(ScheduleRequest::List).await
    }
}

impl Engine {
    /// A schedule as it was right behind a position; of one that was removed there, as it was before. Behind a moment
    /// that was asked for: as it was when that had led to something, if it has. `None`: there was none.
    ///
    /// # Errors
    /// [`ScheduleError::Store`]
    pub async fn schedule_then(
        &self,
        name: &str,
        then: Position,
    ) -> Result<Option<ScheduleRecord>, ScheduleError> {
        let found = schedule_then(&self.inner.shared, name, then).await;
        found.map_err(|error| ScheduleError::Store(error.to_string()))
    }

    fn redact_origin(&self, origin: &mut ScheduleOrigin) {
        if let Some(redactor) = &self.inner.shared.edge.redactor
            && let ScheduleOrigin::Added { input, title, .. } = origin
        {
            redact_json(&**redactor, input);
            redact_option(&**redactor, title);
        }
    }

    fn redacted(&self, mut reason: Option<String>) -> Option<String> {
        if let Some(redactor) = &self.inner.shared.edge.redactor {
            redact_option(&**redactor, &mut reason);
        }
        reason
    }
}
