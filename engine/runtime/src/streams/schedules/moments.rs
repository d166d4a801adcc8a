//! Moments of schedules: recorded when they are due, followed while they wait, settled by what they lead to.
//!
//! Law: the moments of a schedule are followed one after the other, the oldest first. One that a request waits for is
//! followed at once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;

use crate::retry::FAILED_AGAIN;
use crate::runtime::Runtime;
use crate::streams::schedules::actor::ScheduleActor;
use crate::streams::schedules::failure::ScheduleFailure;
use crate::streams::schedules::schedule_stream::ScheduleStream;
use crate::streams::schedules::schedule_work::ScheduleWork;
use crate::streams::schedules::tick::{FollowedTick, TickEnd, TickWork, follow};
use crate::streams::stream_writer::StreamError;
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_core::schedules::{Now, ScheduleEvent, ScheduleState, TickSettled, is_ahead, look};
use everfold_core::triggers::Outcome;
use everfold_language::definition::{Overlap, OverlapBy};

impl ScheduleActor {
    /// Records the moments that are due.
    pub(super) async fn record_due(&mut self) -> Result<(), StreamError> {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        let is_due = |(name, schedule): (&String, &ScheduleStream)| {
            // By its key a moment is judged when it is followed.
            let is_by_run = schedule.state.schedule().is_none_or(|it| it.overlap_by == OverlapBy::Run);
            let last_run = schedule.state.last_run().filter(|_| is_by_run);
            let is_look_due = schedule.next.is_some_and(|next| next <= now || is_ahead(&schedule.state, now));
            is_look_due.then(|| (name.clone(), last_run))
        };
        let due: Vec<(String, Option<RunId>)> = self.all().await?.iter().filter_map(is_due).collect();
        for (name, last_run) in due {
            let is_busy = is_open(&shared, last_run).await?;
            let schedule = self.all().await?.get(&name);
            let Some(timetable) = schedule.and_then(|schedule| schedule.timetable.clone()) else {
                continue;
            };
            let decide =
                |state: &ScheduleState| look(state, &name, &timetable, Now { at: now, is_busy }).events;
            let recorded = self.record(&name, &Actor::Engine.into(), decide).await;
            recorded.map_err(ScheduleFailure::stream_error)?;
        }
        Ok(())
    }

    /// Records what a moment led to, and informs the callers that wait for it.
    pub(super) async fn followed(&mut self, followed: FollowedTick) -> Result<(), StreamError> {
        let FollowedTick { name, tick, mut outcome } = followed;
        let until = self.shared.steady().plus(FAILED_AGAIN);
        let schedule = self.all().await?.get_mut(&name);
        if let Some(schedule) = schedule {
            schedule.in_work.remove(&tick);
            let stands = schedule.state.set().is_some() && schedule.state.paused().is_none();
            if matches!(outcome, Ok(TickEnd::Queued(_))) && !stands {
                let why = "the schedule was paused or removed while the moment waited".to_owned();
                outcome = Ok(TickEnd::Led(Outcome::Ignored { why }));
            }
            if outcome.is_err() {
                schedule.rests_until = Some(until);
            }
        }
        let outcome = match outcome {
            Ok(TickEnd::Led(outcome)) => outcome,
            Ok(TickEnd::Queued(holder)) => return self.queue(name, tick, holder).await,
            Err(EngineStopped) => return Ok(()),
        };
        let event = ScheduleEvent::TickSettled(TickSettled { tick, outcome: outcome.clone() });
        let decide = |state: &ScheduleState| match state.waiting().contains_key(&tick) {
            true => vec![event.clone()],
            false => Vec::new(),
        };
        let recorded = self.record(&name, &Actor::Engine.into(), decide).await;
        recorded.map_err(ScheduleFailure::stream_error)?;
        let schedule = self.all().await?.get_mut(&name);
        let waiting = schedule.and_then(|schedule| schedule.awaited.remove(&tick));
        for waiting in waiting.into_iter().flatten() {
            let _gone = waiting.send(outcome.clone());
        }
        Ok(())
    }

    /// Leaves a moment in the queue of its key until the run that holds it has ended, or the moment is the first.
    async fn queue(&mut self, name: String, tick: Version, holder: Option<RunId>) -> Result<(), StreamError> {
        // The one before it may have been settled meanwhile.
        if holder.is_none() && !self.key_queues.is_behind(&name, tick) {
            return Ok(());
        }
        let Some(schedule) = self.all().await?.get_mut(&name) else { return Ok(()) };
        schedule.queued = Some(tick);
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move {
            let is_over = async {
                let Some(holder) = holder else { return std::future::pending().await };
                let ended = shared.ends.of(holder);
                let head = shared.store.head(&StreamId::run(holder)).await;
                // Of a run on its way there is nothing yet.
                if !matches!(head, Ok(Some(head)) if !head.note.open) {
                    ended.seen().await;
                }
            };
            // A key may also be freed without an end, or be given to another run.
            let _either = tokio::time::timeout(FAILED_AGAIN, is_over).await;
            ScheduleWork::Freed { name, tick }
        });
        Ok(())
    }

    /// What a moment waits for may be over: it is followed once more.
    pub(super) async fn freed(&mut self, name: &str, tick: Version) -> Result<(), StreamError> {
        if let Some(schedule) = self.all().await?.get_mut(name) {
            schedule.queued = schedule.queued.filter(|queued| *queued != tick);
        }
        Ok(())
    }

    /// Takes moments that are settled, or rest, out of the queues of their keys; those that are the first then are followed.
    async fn keep_queues(&mut self) -> Result<(), StreamError> {
        let (key_queues, now) = (Arc::clone(&self.key_queues), self.shared.steady());
        let schedules = self.all().await?;
        let moved_up = key_queues.keep(|tick| {
            let schedule = schedules.get(&tick.name);
            schedule.is_some_and(|schedule| {
                let rests = schedule.rests_until.is_some_and(|until| until > now);
                !rests && schedule.state.waiting().contains_key(&tick.version)
            })
        });
        for tick in moved_up {
            self.freed(&tick.name, tick.version).await?;
        }
        Ok(())
    }

    /// Begins to follow moments that wait: of each schedule the oldest, and those that a request waits for.
    pub(super) async fn follow_waiting(&mut self) -> Result<(), StreamError> {
        let shared = Arc::clone(&self.shared);
        if shared.is_stopping() || !self.is_read() {
            return Ok(());
        }
        self.keep_queues().await?;
        let (is_attended, now) = (self.is_attended, self.shared.steady());
        let (key_queues, mut begun) = (Arc::clone(&self.key_queues), Vec::new());
        for (name, schedule) in self.all().await? {
            if schedule.rests_until.is_some_and(|until| until > now) || schedule.state.waiting().is_empty() {
                continue;
            }
            let judged = schedule
                .state
                .schedule()
                .map_or((Overlap::Skip, OverlapBy::Run), |it| (it.overlap, it.overlap_by));
            let queues = judged == (Overlap::Queue, OverlapBy::Run);
            let queues_still =
                schedule.queued.is_some_and(|tick| schedule.state.waiting().contains_key(&tick));
            let (mut is_first, mut found) = (schedule.in_work.is_empty(), Vec::new());
            for (version, tick) in schedule.state.waiting() {
                let is_awaited = schedule.awaited.contains_key(version);
                if schedule.in_work.contains(version) || !(is_awaited || is_attended && is_first) {
                    continue;
                }
                if !tick.by_hand {
                    is_first = false;
                    if queues_still {
                        continue;
                    }
                    if queues && is_open(&shared, schedule.state.last_run()).await? {
                        continue;
                    }
                }
                found.push((*version, *tick));
            }
            // The moments of a removed schedule do what it did.
            let Some(origin) = schedule.origin.clone() else { continue };
            for (version, tick) in found {
                schedule.in_work.insert(version);
                let recorded_targets = schedule.state.targets(version).cloned();
                begun.push(TickWork {
                    name: name.clone(),
                    version,
                    tick,
                    origin: origin.clone(),
                    set_by: schedule.state.set_by().cloned(),
                    key_queues: Arc::clone(&key_queues),
                    key_overlap: (judged.1 == OverlapBy::Key && !tick.by_hand).then_some(judged.0),
                    last_run: schedule.state.last_run(),
                    recorded_targets,
                });
            }
        }
        for work in begun {
            let shared = Arc::clone(&shared);
            self.inbox.spawn(async move {
                let (name, tick) = (work.name.clone(), work.version);
                // A panic leaves the moment to be followed again, and touches no other.
                let outcome = AssertUnwindSafe(follow(&shared, work)).catch_unwind().await;
                let outcome = outcome.unwrap_or_else(|_panic| {
                    tracing::error!(
                        schedule = name,
                        "following a moment ended in a panic; it is tried again"
                    );
                    Err(EngineStopped)
                });
                ScheduleWork::Followed(FollowedTick { name, tick, outcome })
            });
        }
        Ok(())
    }
}

/// Whether a run has not ended.
pub(super) async fn is_open(shared: &Runtime, run: Option<RunId>) -> Result<bool, StreamError> {
    let Some(run) = run else { return Ok(false) };
    let head = shared.store.head(&StreamId::run(run)).await;
    let head = head.map_err(|error| StreamError::store(&error))?;
    Ok(head.is_some_and(|head| head.note.open))
}
