//! The schedule actor: its state, how it answers each request, and what it records.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::runtime::Runtime;
use crate::streams::actor::{ActorInbox, Incoming, StreamActor};
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::failure::{ScheduleFailure, reply};
use crate::streams::schedules::key_queues::KeyQueues;
use crate::streams::schedules::known_schedules::{KnownSchedules, Reread};
use crate::streams::schedules::mailbox::ScheduleRequest;
use crate::streams::schedules::schedule_stream::ScheduleStream;
use crate::streams::schedules::schedule_work::ScheduleWork;
use crate::streams::schedules::tick::has_begun;
use crate::streams::stream_writer::StreamError;
use crate::streams::triggers::by::By;
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::id::Position;
use everfold_core::schedules::{ScheduleEvent, ScheduleState, TickMeant, drop_waiting};

/// How often a schedule whose stream changed meanwhile is loaded anew and decided on again.
const TRIES: u32 = 5;

/// The schedule actor.
pub(crate) struct ScheduleActor {
    pub(super) shared: Arc<Runtime>,
    pub(super) inbox: ActorInbox<ScheduleRequest, ScheduleWork>,
    /// `None`: they were not read yet.
    known: Option<KnownSchedules>,
    /// The moments that wait for keys.
    pub(super) key_queues: Arc<KeyQueues>,
    /// The clock is looked at: moments that wait are followed.
    pub(super) is_attended: bool,
    /// The schedules are those of the newest saved pipelines.
    pub(super) is_synced: bool,
}

impl StreamActor for ScheduleActor {
    type Event = Incoming<ScheduleRequest, ScheduleWork>;

    async fn next(&mut self) -> Self::Event {
        self.inbox.next().await
    }

    async fn handle(&mut self, event: Self::Event) -> Result<(), StreamError> {
        match event {
            Incoming::Ended(ScheduleWork::Followed(followed)) => self.followed(followed).await?,
            Incoming::Ended(ScheduleWork::Freed { name, tick }) => self.freed(&name, tick).await?,
            Incoming::Ended(ScheduleWork::Cancelled(cancelled)) => self.cancelled(cancelled).await?,
            Incoming::Request(request) => self.answer(request).await?,
        }
        self.follow_waiting().await?;
        self.cancel_runs().await
    }

    fn failed(&mut self, error: &StreamError, _retry: Option<Self::Event>) -> ControlFlow<()> {
        if !self.shared.is_stopping() {
            tracing::error!(%error, "schedules cannot be kept; it is tried again");
        }
        self.forget();
        ControlFlow::Continue(())
    }
}

impl ScheduleActor {
    /// The schedule actor of an engine; `None`: the engine has one already.
    pub(crate) fn new(shared: Arc<Runtime>) -> Option<Self> {
        let inbox = ActorInbox::of(&shared.mailboxes.schedules)?;
        let key_queues = Arc::default();
        Some(Self { shared, inbox, known: None, key_queues, is_attended: false, is_synced: false })
    }

    /// Has everything read anew the next time: the states may not be what is stored. While moments are being followed,
    /// the states stay, for what comes of those.
    fn forget(&mut self) {
        self.is_synced = false;
        let in_work = self.known.iter().flat_map(|known| known.schedules.values());
        if in_work.into_iter().all(|schedule| schedule.in_work.is_empty() && !schedule.is_cancelling) {
            self.known = None;
        }
    }

    async fn answer(&mut self, request: ScheduleRequest) -> Result<(), StreamError> {
        match request {
            ScheduleRequest::Sync(answer) => {
                self.is_synced = false;
                self.sync().await?;
                let _gone = answer.send(());
            }
            ScheduleRequest::Look(answer) => {
                self.is_attended = true;
                self.sync().await?;
                self.record_due().await?;
                let _gone = answer.send(());
            }
            ScheduleRequest::Add(new, by, answer) => {
                let added = self.add(*new, &by).await;
                return reply(answer, added);
            }
            ScheduleRequest::Update(update, by, answer) => {
                let updated = self.update(*update, &by).await;
                return reply(answer, updated);
            }
            ScheduleRequest::Remove(order, by, answer) => {
                let removed = self.remove(order, &by).await;
                return reply(answer, removed);
            }
            ScheduleRequest::Pause(name, pauses, by, reason, answer) => {
                let paused = self.pause(&name, pauses, reason, &by).await;
                return reply(answer, paused);
            }
            ScheduleRequest::Trigger(name, by, answer) => {
                let ticked = self.trigger(&name, &by).await;
                return reply(answer, ticked);
            }
            ScheduleRequest::RecordTargets(name, tick, runs, answer) => {
                let event = ScheduleEvent::TickMeant(TickMeant { tick, runs });
                match self.record(&name, &Actor::Engine.into(), |_| vec![event.clone()]).await {
                    Ok(_) => {
                        let _gone = answer.send(());
                    }
                    Err(ScheduleFailure::Stream(error)) => return Err(error),
                    Err(ScheduleFailure::Refused(_)) => {}
                }
            }
            ScheduleRequest::List(answer) => {
                let listed = self.list().await;
                return reply(answer, listed);
            }
        }
        Ok(())
    }

    /// Whether the schedules were read.
    pub(super) fn is_read(&self) -> bool {
        self.known.is_some()
    }

    /// Every schedule there ever was and that can be read.
    pub(super) async fn all(&mut self) -> Result<&mut BTreeMap<String, ScheduleStream>, StreamError> {
        Ok(&mut self.known(Reread::InAWhile).await?.schedules)
    }

    /// The schedules. Where one can be read that could not, those of the pipelines are compared once more.
    pub(super) async fn known(&mut self, again: Reread<'_>) -> Result<&mut KnownSchedules, StreamError> {
        let known = match self.known.take() {
            None => KnownSchedules::read(&self.shared).await?,
            Some(mut known) => {
                self.is_synced &= !known.read_again(&self.shared, again).await;
                known
            }
        };
        Ok(self.known.insert(known))
    }

    /// A schedule by its name; `None`: there never was one.
    pub(super) async fn named(&mut self, name: &str) -> Result<Option<&mut ScheduleStream>, ScheduleFailure> {
        let known = self.known(Reread::Now(name)).await?;
        match known.unread.get(name) {
            Some(why) => Err(ScheduleFailure::Refused(ScheduleError::Store(why.clone()))),
            None => Ok(known.schedules.get_mut(name)),
        }
    }

    /// Records what is decided on a schedule's state, and decides again where the stream changed meanwhile.
    pub(super) async fn record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&ScheduleState) -> Vec<ScheduleEvent>,
    ) -> Result<Position, ScheduleFailure> {
        let shared = Arc::clone(&self.shared);
        self.named(name).await?;
        let all = self.all().await?;
        let mut tries = 0;
        loop {
            if !all.contains_key(name) {
                all.insert(name.to_owned(), ScheduleStream::load(&shared, name).await?);
            }
            let Some(schedule) = all.get_mut(name) else { return Err(StreamError::Changed.into()) };
            let at = schedule.now(&shared);
            let events = decide(&schedule.state);
            if events.is_empty() {
                return Ok(Position::ZERO);
            }
            match schedule.record(&shared, name, by, at, &events).await {
                Ok(position) => return Ok(position),
                Err(StreamError::Changed) if tries < TRIES => {
                    tries += 1;
                    let fresh = ScheduleStream::load(&shared, name).await?;
                    let former = std::mem::replace(schedule, fresh);
                    (schedule.in_work, schedule.awaited) = (former.in_work, former.awaited);
                    schedule.is_cancelling = former.is_cancelling;
                    schedule.awaits_cancel = former.awaits_cancel;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Records that a schedule stops, and that nothing follows from the moments that wait.
    pub(super) async fn record_stop(
        &mut self,
        name: &str,
        by: &By,
        stop: Vec<ScheduleEvent>,
        why: &str,
    ) -> Result<Position, ScheduleFailure> {
        let shared = Arc::clone(&self.shared);
        let (mut in_work, mut waiting) = (BTreeSet::new(), Vec::new());
        if let Some(schedule) = self.named(name).await? {
            in_work.clone_from(&schedule.in_work);
            waiting.extend(schedule.state.waiting().iter().map(|(version, tick)| (*version, *tick)));
        }
        waiting.retain(|(version, _)| !in_work.contains(version));
        for (version, tick) in waiting {
            // A moment that a former engine began to follow is in work, too, and settled by what comes of it.
            let begun = has_begun(&shared, name, version, tick).await.map_err(|EngineStopped| {
                ScheduleError::Store("whether its moments led to runs cannot be read".to_owned())
            });
            in_work.extend(begun.map_err(ScheduleFailure::Refused)?.then_some(version));
        }
        let decide = |state: &ScheduleState| {
            let mut events = stop.clone();
            events.extend(drop_waiting(state, &in_work, why));
            events
        };
        self.record(name, by, decide).await
    }
}
