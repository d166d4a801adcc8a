//! Requests of operators: schedules are added, removed, paused, triggered and listed.
//!
//! Law (S10): a request that comes again under its key changes nothing, and gets its first answer.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::aggregate_store::Change;
use crate::streams::schedules::actor::ScheduleActor;
use crate::streams::schedules::cancel_runs::await_cancel;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::failure::{ScheduleFailure, already, recorded};
use crate::streams::schedules::history::{outcome_of, tick_at};
use crate::streams::schedules::known_schedules::Reread;
use crate::streams::schedules::pipeline_schedules::{REMOVED, document};
use crate::streams::schedules::record::{
    NewSchedule, Removal, RemovedSchedule, ScheduleRecord, ScheduleUpdate, Ticked,
};
use crate::streams::schedules::schedule_stream::ScheduleStream;
use crate::streams::stream_writer::first_append;
use crate::streams::triggers::by::By;
use everfold_base::id::Position;
use everfold_core::schedules::{
    RunsCancelMeant, ScheduleEvent, ScheduleOrigin, SchedulePaused, ScheduleRemoved, ScheduleResumed,
    ScheduleSet, ScheduleState, trigger,
};
use everfold_core::triggers::Outcome;

/// Why nothing follows from a moment that waited.
const PAUSED: &str = "the schedule was paused while the moment waited";

impl ScheduleActor {
    /// The answer to a request that was recorded before under its key.
    async fn first(&self, by: &By) -> Result<Option<Change>, ScheduleFailure> {
        match first_append(&self.shared, by).await? {
            None => Ok(None),
            Some(None) => Err(ScheduleFailure::Refused(ScheduleError::KeyReused)),
            Some(Some(position)) => Ok(Some(Change { position, changed: true, repeated: true })),
        }
    }

    async fn origin_of(&mut self, name: &str) -> Result<ScheduleOrigin, ScheduleFailure> {
        let origin = self.named(name).await?.and_then(|schedule| schedule.state.origin().cloned());
        origin.ok_or_else(|| ScheduleFailure::Refused(ScheduleError::NotFound(name.to_owned())))
    }

    pub(super) async fn add(&mut self, new: NewSchedule, by: &By) -> Result<Change, ScheduleFailure> {
        if let Some(first) = self.first(by).await? {
            return Ok(first);
        }
        let set = ScheduleSet { schedule: document(&new.schedule), origin: new.origin };
        let former = self.named(&new.name).await?.and_then(|schedule| schedule.state.set().cloned());
        match former {
            Some(former) if former == set => {
                let position = self.shared.store.last_position();
                Ok(Change { position, changed: false, repeated: false })
            }
            Some(_another) => Err(ScheduleFailure::Refused(ScheduleError::Exists(new.name))),
            None => {
                let events = vec![ScheduleEvent::ScheduleSet(set)];
                self.record(&new.name, by, |_| events.clone()).await.map(recorded)
            }
        }
    }

    /// That a schedule was added, and belongs to no pipeline.
    async fn is_added(&mut self, name: &str) -> Result<(), ScheduleFailure> {
        match self.origin_of(name).await? {
            ScheduleOrigin::Added { .. } => Ok(()),
            ScheduleOrigin::Trigger { pipeline, .. } => {
                Err(ScheduleFailure::Refused(ScheduleError::OfPipeline { name: name.to_owned(), pipeline }))
            }
        }
    }

    /// Makes a schedule another one, unless it is no more the one that the caller saw.
    pub(super) async fn update(
        &mut self,
        update: ScheduleUpdate,
        by: &By,
    ) -> Result<Change, ScheduleFailure> {
        if let Some(first) = self.first(by).await? {
            return Ok(first);
        }
        let name = update.seen.name;
        self.is_added(&name).await?;
        let seen = ScheduleSet { schedule: document(&update.seen.schedule), origin: update.seen.origin };
        let set = ScheduleSet { schedule: document(&update.schedule), origin: update.origin };
        let now = self.named(&name).await?.and_then(|schedule| schedule.state.set().cloned());
        if now.as_ref() == Some(&set) {
            let position = self.shared.store.last_position();
            return Ok(Change { position, changed: false, repeated: false });
        }
        let decide = |state: &ScheduleState| match state.set() {
            Some(now) if *now == seen => vec![ScheduleEvent::ScheduleSet(set.clone())],
            _another_or_none => Vec::new(),
        };
        match self.record(&name, by, decide).await? {
            Position::ZERO => Err(ScheduleFailure::Refused(ScheduleError::Changed(name))),
            position => Ok(recorded(position)),
        }
    }

    pub(super) async fn remove(
        &mut self,
        order: Removal,
        by: &By,
    ) -> Result<RemovedSchedule, ScheduleFailure> {
        let (sender, cancelled) = oneshot::channel();
        let Removal { name, reason, cancels } = order;
        if let Some(change) = self.first(by).await? {
            if cancels {
                let shared = Arc::clone(&self.shared);
                let schedule = self.named(&name).await?;
                await_cancel(&shared, &name, schedule, change.position, sender).await?;
            }
            return Ok(RemovedSchedule { change, cancelled });
        }
        self.is_added(&name).await?;
        let mut events = vec![ScheduleEvent::ScheduleRemoved(ScheduleRemoved { reason: reason.clone() })];
        if cancels {
            events.push(ScheduleEvent::RunsCancelMeant(RunsCancelMeant { reason }));
        }
        let change = self.record_stop(&name, by, events, REMOVED).await.map(recorded)?;
        if cancels && let Some(schedule) = self.all().await?.get_mut(&name) {
            schedule.awaits_cancel.push(sender);
        }
        Ok(RemovedSchedule { change, cancelled })
    }

    pub(super) async fn pause(
        &mut self,
        name: &str,
        pauses: bool,
        reason: Option<String>,
        by: &By,
    ) -> Result<Change, ScheduleFailure> {
        if let Some(first) = self.first(by).await? {
            return Ok(first);
        }
        self.origin_of(name).await?;
        let is_paused = self.all().await?.get(name).is_some_and(|schedule| schedule.state.paused().is_some());
        let event = match (pauses, is_paused) {
            (true, false) => {
                let event = ScheduleEvent::SchedulePaused(SchedulePaused { reason });
                return self.record_stop(name, by, vec![event], PAUSED).await.map(recorded);
            }
            (false, true) => ScheduleEvent::ScheduleResumed(ScheduleResumed { reason }),
            (true, true) => return Err(already(format!("“{name}” is paused already"))),
            (false, false) => return Err(already(format!("“{name}” is not paused"))),
        };
        self.record(name, by, |_| vec![event.clone()]).await.map(recorded)
    }

    pub(super) async fn trigger(&mut self, name: &str, by: &By) -> Result<Ticked, ScheduleFailure> {
        let (sender, outcome) = oneshot::channel();
        if let Some(Change { position, .. }) = self.first(by).await? {
            self.await_again(name, position, sender).await?;
            return Ok(Ticked { position, repeated: true, outcome });
        }
        self.origin_of(name).await?;
        let now = self.shared.now();
        let decide = |state: &ScheduleState| trigger(state, now).into_iter().collect();
        let position = self.record(name, by, decide).await?;
        if position == Position::ZERO {
            return Err(ScheduleFailure::Refused(ScheduleError::Busy(name.to_owned())));
        }
        if let Some(schedule) = self.all().await?.get_mut(name) {
            schedule.awaited.entry(schedule.version()).or_default().push(sender);
        }
        Ok(Ticked { position, repeated: false, outcome })
    }

    /// Sends what the moment at a position led to; where it still waits, once it has.
    async fn await_again(
        &mut self,
        name: &str,
        position: Position,
        sender: oneshot::Sender<Outcome>,
    ) -> Result<(), ScheduleFailure> {
        let Some(tick) = tick_at(&self.shared, name, position).await? else { return Ok(()) };
        self.named(name).await?;
        let schedule = self.all().await?.get_mut(name);
        if let Some(schedule) = schedule.filter(|schedule| schedule.state.waiting().contains_key(&tick)) {
            let waiting = schedule.awaited.entry(tick).or_default();
            waiting.retain(|waiting| !waiting.is_closed());
            waiting.push(sender);
        } else if let Some(outcome) = outcome_of(&self.shared, name, tick).await? {
            let _gone = sender.send(outcome);
        }
        Ok(())
    }

    pub(super) async fn list(&mut self) -> Result<Vec<ScheduleRecord>, ScheduleFailure> {
        let known = self.known(Reread::NowAll).await?;
        if let Some(why) = known.unread.values().next() {
            return Err(ScheduleFailure::Refused(ScheduleError::Store(why.clone())));
        }
        let record = |(name, schedule): (&String, &ScheduleStream)| {
            ScheduleRecord::of(name, &schedule.state, schedule.next)
        };
        Ok(known.schedules.iter().filter_map(record).collect())
    }
}
