//! The loop of a shard: takes in what is ready, decides, starts appends and work.

use crate::messages::ShardMessage;
use crate::panic::panic_text;
use crate::run::attempt::event::AttemptEvent;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::runtime::Runtime;
use crate::shard::core::{Shard, ShardCore, TAKEN_MAX};
use crate::shard::eviction::EvictionQueue;
use crate::shard::parked::ParkedNotices;
use crate::shard::shortage::Shortage;
use crate::shard::start_queue::StartQueue;
use crate::shard::timers::{TimerDue, Timers};
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use futures::stream::FuturesUnordered;
use futures::stream::Stream as _;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Appends and reads in progress at which a shard takes in no new messages.
const JOBS_MAX: usize = 4_096;

/// A new sleep that would end less than this before the current one does not replace it: both clocks count
/// milliseconds.
const SLEEP_SLACK: Duration = Duration::from_millis(2);

/// How far the clock goes back before it counts as set back.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

impl Shard {
    pub(crate) fn new(shared: Arc<Runtime>, at: usize, inbox: mpsc::Receiver<ShardMessage>) -> Self {
        let config = &shared.config;
        let shards = config.shards.max(1);
        let idle = EvictionQueue::new(crate::shard::eviction::EvictionBounds {
            runs: config.states.div_ceil(shards),
            ended: config.ended_states.div_ceil(shards),
            bytes: config.states_bytes / shards as u64,
        });
        Self {
            runs: HashMap::new(),
            core: ShardCore {
                shared,
                at,
                jobs: FuturesUnordered::new(),
                works: JoinSet::new(),
                observed: Arc::default(),
                timers: Timers::default(),
                pauses: Timers::default(),
                start_queue: StartQueue::default(),
                idle,
                parked: ParkedNotices::new(shards),
                dirty: VecDeque::new(),
                shortage: Shortage::default(),
                sleep: None,
                again: false,
            },
            inbox,
            messages: Vec::new(),
            done: Vec::new(),
            worked: Vec::new(),
            closing: None,
            is_given_up: false,
            sending: None,
            are_notices_left: false,
            clock: Timestamp(i64::MIN),
        }
    }

    /// Runs until the engine is dropped or shut down.
    pub(crate) async fn run(mut self) {
        while poll_fn(|cx| self.gather(cx)).await {
            self.turn();
            if self.is_finished() {
                break;
            }
        }
    }

    /// Takes in everything that is ready; false when every sender is gone.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut is_ready = std::mem::take(&mut self.core.again);
        if self.core.jobs.len() < JOBS_MAX {
            match self.inbox.poll_recv_many(cx, &mut self.messages, TAKEN_MAX) {
                Poll::Ready(0) => return Poll::Ready(false),
                Poll::Ready(_) => is_ready = true,
                Poll::Pending => {}
            }
        }
        while self.done.len() < TAKEN_MAX {
            match Pin::new(&mut self.core.jobs).poll_next(cx) {
                Poll::Ready(Some(done)) => self.done.push(done),
                _ => break,
            }
        }
        while self.worked.len() < TAKEN_MAX {
            match self.core.works.poll_join_next(cx) {
                // An aborted task has no result; the shard reported its end when it aborted the task.
                Poll::Ready(Some(result)) => self.worked.extend(result.ok()),
                _ => break,
            }
        }
        is_ready |= self.core.observed.poll(cx);
        // Grants that come while no attempt may start stay in the inbox.
        let has_grants = self.core.shared.scheduler.poll(self.core.at, cx);
        is_ready |= has_grants && self.closing.is_none() && !self.core.shared.is_holding();
        is_ready |= self.core.shared.receivers.poll(self.core.at, cx);
        is_ready |= self.core.shortage.poll(cx);
        is_ready |= !self.done.is_empty() || !self.worked.is_empty();
        is_ready |= self.poll_sleep(cx);
        if let Some(closing) = &mut self.closing
            && !self.is_given_up
            && closing.as_mut().poll(cx).is_ready()
        {
            self.is_given_up = true;
            is_ready = true;
        }
        if let Some(sending) = &mut self.sending
            && !self.are_notices_left
            && sending.as_mut().poll(cx).is_ready()
        {
            self.are_notices_left = true;
            is_ready = true;
        }
        if is_ready { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Whether a timer is due; asks to be woken when the next one is.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let (now, steady) = (self.core.shared.now(), self.core.shared.steady());
        let next_grant = self.core.shared.scheduler.next_at().filter(|_| !self.core.shared.is_holding());
        let receivers = self.core.shared.receivers.next_at();
        let pause = self.core.pauses.next().into_iter().chain(next_grant).chain(receivers).min();
        let sleep_max = self.core.shared.config.sleep_max;
        let left = self.core.timers.next().map(|at| at.since(now).min(sleep_max));
        let left = left.into_iter().chain(pause.map(|at| at.since(steady))).min();
        let Some(left) = left.filter(|_| self.closing.is_none()) else {
            self.core.sleep = None;
            return false;
        };
        if left.is_zero() {
            return true;
        }
        let at = steady.plus(left);
        // A sleep that ends earlier is kept: at its end the clock is read again.
        if self.core.sleep.as_ref().is_none_or(|(until, _)| until.since(at) > SLEEP_SLACK) {
            self.core.sleep = Some((at, Box::pin(tokio::time::sleep(left))));
        }
        let Some((_, sleep)) = &mut self.core.sleep else { return false };
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.core.sleep = None;
        // Where the sleep was cut short no timer may be due yet; then the next turn sleeps on.
        true
    }

    fn turn(&mut self) {
        for message in std::mem::take(&mut self.messages) {
            match message.run() {
                Some(run) => self.contained(run, |shard| shard.take(message)),
                None => self.take(message),
            }
        }
        for done in std::mem::take(&mut self.done) {
            match done.run() {
                Some(run) => self.contained(run, |shard| shard.job_done(done)),
                None => self.job_done(done),
            }
        }
        for worked in std::mem::take(&mut self.worked) {
            self.contained(worked.run(), |shard| shard.work_done(worked));
        }
        self.retry_after_shortage();
        self.take_observations();
        self.fire();
        self.call_notices();
        self.start_waiting();
        while let Some(run) = self.core.dirty.pop_front() {
            self.contained(run, |shard| shard.process_run(run));
        }
        while let Some(run) = self.core.idle.surplus() {
            self.forget(run);
        }
    }

    /// Runs code for one run. A panic quarantines that run alone (D4).
    pub(crate) fn contained(&mut self, run: RunId, work: impl FnOnce(&mut Self)) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) else { return };
        let reason = panic_text(panic.as_ref());
        match self.runs.get_mut(&run) {
            Some(loaded) => {
                let was_dirty = std::mem::replace(&mut loaded.is_dirty, false);
                self.core.dirty.retain(|dirty| !was_dirty || *dirty != run);
                self.core.quarantine(loaded, reason);
            }
            None => tracing::error!(%run, reason, "a shard could not do something for a run"),
        }
    }

    /// Takes in what executors reported of attempts in progress: that they began, and what they use up.
    fn take_observations(&mut self) {
        for (id, so_far) in self.core.observed.take_used() {
            if let Some(loaded) = self.runs.get_mut(&id.run) {
                self.core.attempt_event(loaded, &id.attempt, AttemptEvent::Used(so_far));
            }
        }
        for (id, progress) in self.core.observed.take_progress() {
            if let Some(loaded) = self.runs.get_mut(&id.run) {
                self.core.record_progress(loaded, &id.attempt, progress);
            }
        }
        for (id, begin) in self.core.observed.take() {
            if let Some(loaded) = self.runs.get_mut(&id.run) {
                self.core.attempt_event(loaded, &id.attempt, AttemptEvent::Began(begin));
            }
        }
    }

    /// Timers that are due become inputs.
    fn fire(&mut self) {
        if self.closing.is_some() {
            return;
        }
        let (now, steady) = (self.core.shared.now(), self.core.shared.steady());
        let former = std::mem::replace(&mut self.clock, now);
        if former.since(now) > CLOCK_SLACK {
            self.clock_was_set_back();
        }
        for _ in 0..TAKEN_MAX {
            let pause = self.core.pauses.pop(steady);
            let Some((run, due, key)) = pause.or_else(|| self.core.timers.pop(now)) else { return };
            self.contained(run, |shard| {
                let Some(loaded) = shard.runs.get_mut(&run) else {
                    return match due {
                        TimerDue::Notice(channel) => shard.parked_notice_due(run, channel),
                        TimerDue::Timer(_) | TimerDue::ReattachmentOver => {}
                    };
                };
                match due {
                    TimerDue::Timer(timer) => shard.core.fired(loaded, timer, key),
                    TimerDue::ReattachmentOver => shard.core.end_reattachment(loaded, true),
                    TimerDue::Notice(channel) => shard.core.notice_due(loaded, channel),
                }
            });
        }
        self.core.again = true;
    }

    /// The clock was set back: each run with timers compares them with the new reading.
    fn clock_was_set_back(&mut self) {
        let mut runs: Vec<RunId> =
            self.runs.values().filter(|loaded| !loaded.timers.is_empty()).map(|loaded| loaded.run).collect();
        runs.sort_unstable();
        for run in runs {
            if let Some(loaded) = self.runs.get_mut(&run) {
                self.core.compare_clock(loaded);
            }
        }
    }

    /// Decides a run's queue, sends the batch, and lets a run without work rest.
    fn process_run(&mut self, run: RunId) {
        let Some(loaded) = self.runs.get_mut(&run) else { return };
        loaded.is_dirty = false;
        if matches!(loaded.phase, RunPhase::Ready) {
            self.core.advance(loaded);
        }
        if matches!(loaded.phase, RunPhase::Ready) && loaded.dispatching.driven && !loaded.is_copy() {
            // A workspace that was being made when the run ended is there by now, or will not come.
            self.core.release(loaded);
        }
        if loaded.is_nothing() {
            // Its start was refused: there is no such run.
            self.core.idle.rouse(&run);
            self.runs.remove(&run);
            return;
        }
        let has_timers = !loaded.timers.is_empty() || !loaded.notices.is_empty();
        let is_resting = !loaded.is_pinned() && (!has_timers || self.core.may_park());
        if is_resting {
            let has_ended = loaded.has_ended();
            self.core.idle.rest(run, loaded.rest(), has_ended);
        } else {
            self.core.idle.rouse(&run);
        }
    }

    /// Evicts a run from memory; the next request loads it.
    fn forget(&mut self, run: RunId) {
        let Some(loaded) = self.runs.remove(&run) else { return };
        let mut earliest = None;
        let has_ended = loaded.has_ended() && loaded.timers.is_empty();
        for key in loaded.timers.into_values().flatten().map(|(_, _, key)| key) {
            self.core.timers.remove(key);
            earliest = earliest.into_iter().chain([key.0]).min();
        }
        if let Some(at) = self.core.park(run, loaded.notices, has_ended) {
            earliest = earliest.into_iter().chain([at]).min();
        }
        if let Some(at) = earliest {
            self.core.shared.wakes.parked(at);
        }
    }

    /// Whether the shutdown is complete: no append is in flight, and in-process work and notices that are being sent have
    /// ended or used up their grace.
    fn is_finished(&self) -> bool {
        if self.closing.is_none() || !self.core.dirty.is_empty() {
            return false;
        }
        let appends = |loaded: &LoadedRun| matches!(loaded.phase, RunPhase::Appending);
        if self.is_given_up {
            return !self.runs.values().any(|loaded| appends(loaded));
        }
        let goes_on = |loaded: &LoadedRun| match self.are_notices_left {
            true => appends(loaded) || loaded.has_attempts_in_process(),
            false => loaded.has_attempts_in_process() || loaded.sends_notices(),
        };
        self.core.jobs.is_empty() && !self.runs.values().any(|loaded| goes_on(loaded))
    }
}
