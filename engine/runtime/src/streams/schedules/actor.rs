//! The task of the schedule actor.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::ledger::Change;
use crate::runtime::Runtime;
use crate::streams::schedules::error::ScheduleError;
use crate::streams::schedules::known::{FAILED_AGAIN, KnownSchedule, KnownSchedules, Reread};
use crate::streams::schedules::mailbox::ScheduleRequest;
use crate::streams::schedules::record::{NewSchedule, ScheduleRecord, Ticked};
use crate::streams::schedules::then::{outcome_of, tick_at};
use crate::streams::schedules::tick::{TickWork, follow, has_begun};
use crate::streams::schedules::trouble::{ScheduleTrouble, already, recorded, reply};
use crate::streams::stream_tail::{StreamTail, TailError};
use crate::streams::triggers::by::By;
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::JsonText;
use everfold_core::schedules::{
    Now, ScheduleEvent, ScheduleOrigin, SchedulePaused, ScheduleRemoved, ScheduleResumed, ScheduleSet,
    ScheduleState, TickMeant, TickSettled, drop_waiting, look, name_of_trigger, trigger,
};
use everfold_core::triggers::Outcome;
use everfold_language::definition::{Overlap, Schedule};

/// How often a schedule is decided on again whose stream is not what it was thought to be.
const TRIES: u32 = 5;
/// Why nothing follows from a moment that waited.
const PAUSED: &str = "the schedule was paused while the moment waited";
const REMOVED: &str = "the schedule was removed while the moment waited";

/// The one who keeps schedules.
pub(crate) struct ScheduleActor {
    shared: Arc<Runtime>,
    asks: Option<mpsc::Receiver<ScheduleRequest>>,
    /// `None`: they were not read yet.
    known: Option<KnownSchedules>,
    works: JoinSet<(String, Version, Result<Outcome, EngineStopped>)>,
    /// The clock is looked at: moments that wait are followed.
    is_attended: bool,
    /// The schedules are those of the newest saved pipelines.
    is_synced: bool,
}

impl ScheduleActor {
    pub(crate) fn new(shared: Arc<Runtime>) -> Self {
        let asks = shared.mailboxes.schedules.take();
        let works = JoinSet::new();
        Self { shared, asks, known: None, works, is_attended: false, is_synced: false }
    }

    /// Works until the engine ends or the store takes nothing more.
    pub(crate) async fn run(mut self) {
        let Some(mut asks) = self.asks.take() else { return };
        loop {
            let done = tokio::select! {
                biased;
                Some(worked) = self.works.join_next() => match worked {
                    Ok((name, tick, outcome)) => self.worked(&name, tick, outcome).await,
                    Err(_panicked) => Ok(()),
                },
                ask = asks.recv() => match ask {
                    None => return,
                    Some(ask) => self.answer(ask).await,
                },
            };
            let done = match done {
                Ok(()) => self.go_on().await,
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => {}
                Err(TailError::Closed) => return,
                Err(error) => {
                    if !self.shared.is_stopping() {
                        tracing::error!(%error, "schedules cannot be kept; it is tried again");
                    }
                    // What is kept is read anew: it may not be what is stored.
                    self.forget();
                }
            }
        }
    }

    /// Reads everything anew the next time. What is in work is settled by what comes of it.
    fn forget(&mut self) {
        self.is_synced = false;
        let in_work = self.known.iter().flat_map(|known| known.kept.values());
        if in_work.map(|kept| &kept.in_work).all(BTreeSet::is_empty) {
            self.known = None;
        }
    }

    async fn answer(&mut self, ask: ScheduleRequest) -> Result<(), TailError> {
        match ask {
            ScheduleRequest::Sync(answer) => {
                self.is_synced = false;
                self.sync().await?;
                let _gone = answer.send(());
            }
            ScheduleRequest::Look(answer) => {
                self.is_attended = true;
                self.sync().await?;
                self.look().await?;
                let _gone = answer.send(());
            }
            ScheduleRequest::Add(new, by, answer) => {
                let added = self.add(*new, &by).await;
                return reply(answer, added);
            }
            ScheduleRequest::Remove(name, by, reason, answer) => {
                let removed = self.remove(&name, reason, &by).await;
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
                    Err(ScheduleTrouble::Tail(error)) => return Err(error),
                    Err(ScheduleTrouble::Refused(_)) => {}
                }
            }
            ScheduleRequest::List(answer) => {
                let listed = self.list().await;
                return reply(answer, listed);
            }
        }
        Ok(())
    }

    /// Every schedule there ever was and that can be read.
    async fn all(&mut self) -> Result<&mut BTreeMap<String, KnownSchedule>, TailError> {
        Ok(&mut self.known(Reread::InAWhile).await?.kept)
    }

    /// The schedules. Where one can be read that could not, those of the pipelines are compared once more.
    async fn known(&mut self, again: Reread<'_>) -> Result<&mut KnownSchedules, TailError> {
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
    async fn named(&mut self, name: &str) -> Result<Option<&mut KnownSchedule>, ScheduleTrouble> {
        let known = self.known(Reread::Now(name)).await?;
        match known.unread.get(name) {
            Some(why) => Err(ScheduleTrouble::Refused(ScheduleError::Store(why.clone()))),
            None => Ok(known.kept.get_mut(name)),
        }
    }

    /// Records what is decided on a schedule's state, and decides again where that was an old one.
    async fn record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&ScheduleState) -> Vec<ScheduleEvent>,
    ) -> Result<Position, ScheduleTrouble> {
        let shared = Arc::clone(&self.shared);
        self.named(name).await?;
        let all = self.all().await?;
        let mut tries = 0;
        loop {
            if !all.contains_key(name) {
                all.insert(name.to_owned(), KnownSchedule::load(&shared, name).await?);
            }
            let Some(kept) = all.get_mut(name) else { return Err(TailError::Changed.into()) };
            let at = kept.tail.now(&shared);
            let events = decide(&kept.state);
            if events.is_empty() {
                return Ok(Position::ZERO);
            }
            match kept.record(&shared, name, by, at, &events).await {
                Ok(position) => return Ok(position),
                Err(TailError::Changed) if tries < TRIES => {
                    tries += 1;
                    let fresh = KnownSchedule::load(&shared, name).await?;
                    let former = std::mem::replace(kept, fresh);
                    (kept.in_work, kept.awaited) = (former.in_work, former.awaited);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Records that a schedule stops, and that nothing follows from the moments that wait.
    async fn record_stop(
        &mut self,
        name: &str,
        by: &By,
        event: ScheduleEvent,
        why: &str,
    ) -> Result<Position, ScheduleTrouble> {
        let shared = Arc::clone(&self.shared);
        let (mut in_work, mut waiting) = (BTreeSet::new(), Vec::new());
        if let Some(kept) = self.named(name).await? {
            in_work.clone_from(&kept.in_work);
            waiting.extend(kept.state.waiting().iter().map(|(version, tick)| (*version, *tick)));
        }
        waiting.retain(|(version, _)| !in_work.contains(version));
        for (version, tick) in waiting {
            // What a former engine began is in work, too: it is settled as what it is.
            let begun = has_begun(&shared, name, version, tick).await.map_err(|EngineStopped| {
                ScheduleError::Store("whether its moments led to runs cannot be read".to_owned())
            });
            in_work.extend(begun.map_err(ScheduleTrouble::Refused)?.then_some(version));
        }
        let decide = |state: &ScheduleState| {
            let mut events = vec![event.clone()];
            events.extend(drop_waiting(state, &in_work, why));
            events
        };
        self.record(name, by, decide).await
    }

    async fn origin_of(&mut self, name: &str) -> Result<ScheduleOrigin, ScheduleTrouble> {
        let origin = self.named(name).await?.and_then(|kept| kept.state.origin().cloned());
        origin.ok_or_else(|| ScheduleTrouble::Refused(ScheduleError::NotFound(name.to_owned())))
    }

    /// Sets and removes schedules so that they are those of the newest saved pipelines.
    async fn sync(&mut self) -> Result<(), TailError> {
        if self.is_synced {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let triggers = shared.triggers.read(&shared).await;
        let triggers = triggers.map_err(|error| TailError::Store(error.to_string()))?;
        let mut wanted: BTreeMap<String, ScheduleSet> = BTreeMap::new();
        for (listed, schedule) in triggers.schedules() {
            let index = u32::try_from(listed.index).unwrap_or(u32::MAX);
            let origin = ScheduleOrigin::Trigger { pipeline: listed.pipeline.to_owned(), index };
            let set = ScheduleSet { schedule: document(schedule), origin };
            wanted.insert(name_of_trigger(listed.pipeline, listed.index), set);
        }
        let is_gone = |(name, kept): (&String, &KnownSchedule)| {
            let is_void = match kept.state.origin() {
                // What a damaged one holds is not known: its schedules stay.
                Some(ScheduleOrigin::Trigger { pipeline, .. }) => triggers.damage(pipeline).is_none(),
                _added_or_removed => false,
            };
            (is_void && !wanted.contains_key(name)).then(|| name.clone())
        };
        let gone: Vec<String> = self.all().await?.iter().filter_map(is_gone).collect();
        for name in gone {
            let reason = Some("the newest version of the pipeline has no such trigger".to_owned());
            let event = ScheduleEvent::ScheduleRemoved(ScheduleRemoved { reason });
            let by = Actor::Engine.into();
            self.record_stop(&name, &by, event, REMOVED).await.map_err(ScheduleTrouble::tail)?;
        }
        for (name, set) in wanted {
            if self.known(Reread::InAWhile).await?.unread.contains_key(&name) {
                continue; // It keeps no other from its moments, and is looked at again.
            }
            let decide = |state: &ScheduleState| match state.set() {
                Some(former) if *former == set => Vec::new(),
                _another => vec![ScheduleEvent::ScheduleSet(set.clone())],
            };
            self.record(&name, &Actor::Engine.into(), decide).await.map_err(ScheduleTrouble::tail)?;
        }
        self.is_synced = true;
        Ok(())
    }

    /// Records the moments that have come.
    async fn look(&mut self) -> Result<(), TailError> {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        let is_due = |(name, kept): (&String, &KnownSchedule)| {
            kept.next.is_some_and(|next| next <= now).then(|| (name.clone(), kept.state.last_run()))
        };
        let due: Vec<(String, Option<RunId>)> = self.all().await?.iter().filter_map(is_due).collect();
        for (name, last_run) in due {
            let is_busy = is_open(&shared, last_run).await?;
            let Some(timetable) = self.all().await?.get(&name).and_then(|kept| kept.timetable.clone()) else {
                continue;
            };
            let decide =
                |state: &ScheduleState| look(state, &name, &timetable, Now { at: now, is_busy }).events;
            self.record(&name, &Actor::Engine.into(), decide).await.map_err(ScheduleTrouble::tail)?;
        }
        Ok(())
    }

    /// The answer to an order that was taken before under its key.
    async fn first(&self, by: &By) -> Result<Option<Change>, ScheduleTrouble> {
        match StreamTail::first(&self.shared, by).await? {
            None => Ok(None),
            Some(None) => Err(ScheduleTrouble::Refused(ScheduleError::KeyReused)),
            Some(Some(position)) => Ok(Some(Change { position, changed: true, repeated: true })),
        }
    }

    async fn remove(
        &mut self,
        name: &str,
        reason: Option<String>,
        by: &By,
    ) -> Result<Change, ScheduleTrouble> {
        if let Some(first) = self.first(by).await? {
            return Ok(first);
        }
        if let ScheduleOrigin::Trigger { pipeline, .. } = self.origin_of(name).await? {
            return Err(ScheduleTrouble::Refused(ScheduleError::OfPipeline {
                name: name.to_owned(),
                pipeline,
            }));
        }
        let event = ScheduleEvent::ScheduleRemoved(ScheduleRemoved { reason });
        self.record_stop(name, by, event, REMOVED).await.map(recorded)
    }

    async fn add(&mut self, new: NewSchedule, by: &By) -> Result<Change, ScheduleTrouble> {
        if let Some(first) = self.first(by).await? {
            return Ok(first);
        }
        let set = ScheduleSet { schedule: document(&new.schedule), origin: new.origin };
        let former = self.named(&new.name).await?.and_then(|kept| kept.state.set().cloned());
        match former {
            Some(former) if former == set => {
                let position = self.shared.store.last_position();
                Ok(Change { position, changed: false, repeated: false })
            }
            Some(_another) => Err(ScheduleTrouble::Refused(ScheduleError::Exists(new.name))),
            None => {
                let events = vec![ScheduleEvent::ScheduleSet(set)];
                self.record(&new.name, by, |_| events.clone()).await.map(recorded)
            }
        }
    }

    async fn pause(
        &mut self,
        name: &str,
        pauses: bool,
        reason: Option<String>,
        by: &By,
    ) -> Result<Change, ScheduleTrouble> {
        if let Some(first) = self.first(by).await? {
            return Ok(first);
        }
        self.origin_of(name).await?;
        let is_paused = self.all().await?.get(name).is_some_and(|kept| kept.state.paused().is_some());
        let event = match (pauses, is_paused) {
            (true, false) => {
                let event = ScheduleEvent::SchedulePaused(SchedulePaused { reason });
                return self.record_stop(name, by, event, PAUSED).await.map(recorded);
            }
            (false, true) => ScheduleEvent::ScheduleResumed(ScheduleResumed { reason }),
            (true, true) => return Err(already(format!("“{name}” is paused already"))),
            (false, false) => return Err(already(format!("“{name}” is not paused"))),
        };
        self.record(name, by, |_| vec![event.clone()]).await.map(recorded)
    }

    async fn trigger(&mut self, name: &str, by: &By) -> Result<Ticked, ScheduleTrouble> {
        let (sender, outcome) = oneshot::channel();
        if let Some(Change { position, .. }) = self.first(by).await? {
            self.await_again(name, position, sender).await?;
            return Ok(Ticked { position, repeated: true, outcome });
        }
        self.origin_of(name).await?;
        let now = self.shared.now();
        let position = self.record(name, by, |_| vec![trigger(now)]).await?;
        if let Some(kept) = self.all().await?.get_mut(name) {
            kept.awaited.entry(kept.tail.version).or_default().push(sender);
        }
        Ok(Ticked { position, repeated: false, outcome })
    }

    /// Tells what the moment at a place of the store led to, or leads to, whatever other moments wait.
    async fn await_again(
        &mut self,
        name: &str,
        position: Position,
        sender: oneshot::Sender<Outcome>,
    ) -> Result<(), ScheduleTrouble> {
        let Some(tick) = tick_at(&self.shared, name, position).await? else { return Ok(()) };
        self.named(name).await?;
        let kept = self.all().await?.get_mut(name);
        if let Some(kept) = kept.filter(|kept| kept.state.waiting().contains_key(&tick)) {
            let waiting = kept.awaited.entry(tick).or_default();
            waiting.retain(|waiting| !waiting.is_closed());
            waiting.push(sender);
        } else if let Some(outcome) = outcome_of(&self.shared, name, tick).await? {
            let _gone = sender.send(outcome);
        }
        Ok(())
    }

    async fn list(&mut self) -> Result<Vec<ScheduleRecord>, ScheduleTrouble> {
        let known = self.known(Reread::NowAll).await?;
        if let Some(why) = known.unread.values().next() {
            return Err(ScheduleTrouble::Refused(ScheduleError::Store(why.clone())));
        }
        let record =
            |(name, kept): (&String, &KnownSchedule)| ScheduleRecord::of(name, &kept.state, kept.next);
        Ok(known.kept.iter().filter_map(record).collect())
    }

    /// A moment led to something.
    async fn worked(
        &mut self,
        name: &str,
        tick: Version,
        outcome: Result<Outcome, EngineStopped>,
    ) -> Result<(), TailError> {
        let until = self.shared.steady().plus(FAILED_AGAIN);
        let kept = self.all().await?.get_mut(name);
        if let Some(kept) = kept {
            kept.in_work.remove(&tick);
            if outcome.is_err() {
                kept.rests_until = Some(until);
            }
        }
        let Ok(outcome) = outcome else { return Ok(()) };
        let event = ScheduleEvent::TickSettled(TickSettled { tick, outcome: outcome.clone() });
        let decide = |state: &ScheduleState| match state.waiting().contains_key(&tick) {
            true => vec![event.clone()],
            false => Vec::new(),
        };
        self.record(name, &Actor::Engine.into(), decide).await.map_err(ScheduleTrouble::tail)?;
        let waiting = self.all().await?.get_mut(name).and_then(|kept| kept.awaited.remove(&tick));
        for waiting in waiting.into_iter().flatten() {
            let _gone = waiting.send(outcome.clone());
        }
        Ok(())
    }

    /// Begins to follow the moments that wait, of each schedule the oldest; those that a request waits for
    /// at once.
    async fn go_on(&mut self) -> Result<(), TailError> {
        let shared = Arc::clone(&self.shared);
        if shared.is_stopping() || self.known.is_none() {
            return Ok(());
        }
        let (is_attended, now) = (self.is_attended, self.shared.steady());
        let mut begun = Vec::new();
        for (name, kept) in self.all().await? {
            if kept.rests_until.is_some_and(|until| until > now) || kept.state.waiting().is_empty() {
                continue;
            }
            let queues = kept.state.schedule().is_some_and(|it| it.overlap == Overlap::Queue);
            let (mut is_first, mut found) = (kept.in_work.is_empty(), Vec::new());
            for (version, tick) in kept.state.waiting() {
                let is_awaited = kept.awaited.contains_key(version);
                if kept.in_work.contains(version) || !(is_awaited || is_attended && is_first) {
                    continue;
                }
                if !tick.by_hand {
                    is_first = false;
                    if queues && is_open(&shared, kept.state.last_run()).await? {
                        continue;
                    }
                }
                found.push((*version, *tick));
            }
            // A schedule that was removed does what its moments said before.
            let Some(origin) = kept.origin.clone() else { continue };
            for (version, tick) in found {
                kept.in_work.insert(version);
                let recorded_targets = kept.state.meant(version).cloned();
                begun.push(TickWork {
                    name: name.clone(),
                    version,
                    tick,
                    origin: origin.clone(),
                    recorded_targets,
                });
            }
        }
        for work in begun {
            let shared = Arc::clone(&shared);
            self.works.spawn(async move {
                let (name, version) = (work.name.clone(), work.version);
                // A panic leaves the moment to be followed again, and touches no other.
                let followed = AssertUnwindSafe(follow(&shared, work)).catch_unwind().await;
                let followed = followed.unwrap_or_else(|_panic| {
                    tracing::error!(
                        schedule = name,
                        "following a moment ended in a panic; it is tried again"
                    );
                    Err(EngineStopped)
                });
                (name, version, followed)
            });
        }
        Ok(())
    }
}

/// Whether a run has not ended.
async fn is_open(shared: &Runtime, run: Option<RunId>) -> Result<bool, TailError> {
    let Some(run) = run else { return Ok(false) };
    let head = shared.store.head(&StreamId::run(run)).await;
    let head = head.map_err(|error| TailError::Store(error.to_string()))?;
    Ok(head.is_some_and(|head| head.note.open))
}

/// A schedule as its stream holds it.
fn document(schedule: &Schedule) -> JsonText {
    serde_json::to_value(schedule).map_or_else(|_| JsonText::null(), |value| JsonText::new(&value))
}
