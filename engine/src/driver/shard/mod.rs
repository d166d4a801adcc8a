//! A shard: one task that owns the runs whose ids fall to it.
//!
//! Law: it never waits for a commit, a read or a piece of work. Whatever takes time is a future that
//! it polls, so that its other runs go on meanwhile; each turn takes in everything that is ready,
//! then decides, then starts appends and work.

mod attempt;
mod cell;
mod commit;
mod copies;
mod dispatch;
mod funds;
mod idle;
mod intake;
mod notice;
mod outcome;
mod parked;
mod poison;
mod probe;
mod release;
mod rings;
mod room;
mod settle;
mod span;
mod timers;
mod told;
mod work;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use cell::{Cell, Phase};
use idle::Idle;
use outcome::Done;
pub(super) use outcome::die;
use parked::Parked;
use rings::Rings;
use room::Room;
use timers::{Due, Timers};
use told::Told;
use work::WorkDone;
pub(super) use work::cancelled as stopped;

use super::load::panic_text;
use super::message::Message;
use super::shared::Shared;
use crate::id::RunId;
use crate::time::Timestamp;

/// Most messages, results and timers taken in at once.
const TAKEN_MAX: usize = 256;
/// Appends and reads in progress at which a shard takes in no new messages.
const JOBS_MAX: usize = 4_096;
/// The longest sleep while a timer runs: the machine's clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// A sleep that ends so much later is the same one: both clocks count milliseconds.
const SLEEP_SLACK: Duration = Duration::from_millis(2);
/// How far the clock goes back before it counts as set back.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// One shard.
pub(super) struct Shard {
    /// Boxed: a table has room for twice as many as it holds, and a cell is large.
    cells: HashMap<RunId, Box<Cell>>,
    world: World,
    inbox: mpsc::Receiver<Message>,
    messages: Vec<Message>,
    done: Vec<Done>,
    worked: Vec<WorkDone>,
    /// Started at shutdown: when in-process work is given up.
    closing: Option<Pin<Box<Sleep>>>,
    is_given_up: bool,
    /// What the clock said when it was looked at last.
    clock: Timestamp,
}

/// What a shard has beside its runs.
struct World {
    shared: Arc<Shared>,
    /// Which shard it is.
    at: usize,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    works: JoinSet<WorkDone>,
    told: Arc<Told>,
    /// The runs' own, by the clock.
    timers: Timers,
    /// The driver's, by a clock that does not jump.
    pauses: Timers,
    rings: Rings,
    idle: Idle,
    /// Notices of runs that are not in memory.
    parked: Parked,
    dirty: VecDeque<RunId>,
    room: Room,
    sleep: Option<(Timestamp, Pin<Box<Sleep>>)>,
    /// There is more to do at once.
    again: bool,
}

impl World {
    /// Puts the run on the list of those to look at in this turn.
    fn mark(&mut self, cell: &mut Cell) {
        if !cell.is_dirty {
            cell.is_dirty = true;
            self.dirty.push_back(cell.run);
        }
    }
}

impl Shard {
    pub(super) fn new(shared: Arc<Shared>, at: usize, inbox: mpsc::Receiver<Message>) -> Self {
        let config = &shared.config;
        let shards = config.shards.max(1);
        let idle = Idle::new(idle::Bounds {
            runs: config.states.div_ceil(shards),
            ended: config.ended_states.div_ceil(shards),
            bytes: config.states_bytes / shards as u64,
        });
        Self {
            cells: HashMap::new(),
            world: World {
                shared,
                at,
                jobs: FuturesUnordered::new(),
                works: JoinSet::new(),
                told: Arc::default(),
                timers: Timers::default(),
                pauses: Timers::default(),
                rings: Rings::default(),
                idle,
                parked: Parked::new(shards),
                dirty: VecDeque::new(),
                room: Room::default(),
                sleep: None,
                again: false,
            },
            inbox,
            messages: Vec::new(),
            done: Vec::new(),
            worked: Vec::new(),
            closing: None,
            is_given_up: false,
            clock: Timestamp(i64::MIN),
        }
    }

    /// Runs until the engine is dropped or shut down.
    pub(super) async fn run(mut self) {
        while poll_fn(|cx| self.gather(cx)).await {
            self.turn();
            if self.is_finished() {
                break;
            }
        }
    }

    /// Takes in everything that is ready; false when nobody can tell it anything any more.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut is_ready = std::mem::take(&mut self.world.again);
        if self.world.jobs.len() < JOBS_MAX {
            match self.inbox.poll_recv_many(cx, &mut self.messages, TAKEN_MAX) {
                Poll::Ready(0) => return Poll::Ready(false),
                Poll::Ready(_) => is_ready = true,
                Poll::Pending => {}
            }
        }
        while self.done.len() < TAKEN_MAX {
            match Pin::new(&mut self.world.jobs).poll_next(cx) {
                Poll::Ready(Some(done)) => self.done.push(done),
                _ => break,
            }
        }
        while self.worked.len() < TAKEN_MAX {
            match self.world.works.poll_join_next(cx) {
                // An aborted task has no result; who aborted it has reported for it.
                Poll::Ready(Some(result)) => self.worked.extend(result.ok()),
                _ => break,
            }
        }
        is_ready |= self.world.told.poll(cx);
        // What was granted while attempts may not start is taken when they may.
        let has_grants = self.world.shared.line.poll(self.world.at, cx);
        is_ready |= has_grants && self.closing.is_none() && !self.world.shared.is_holding();
        is_ready |= self.world.shared.receivers.poll(self.world.at, cx);
        is_ready |= self.world.room.poll(cx);
        is_ready |= !self.done.is_empty() || !self.worked.is_empty();
        is_ready |= self.poll_sleep(cx);
        if let Some(closing) = &mut self.closing
            && !self.is_given_up
            && closing.as_mut().poll(cx).is_ready()
        {
            self.is_given_up = true;
            is_ready = true;
        }
        if is_ready { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Whether a timer is due; asks to be woken when the next one is.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let (now, steady) = (self.world.shared.now(), self.world.shared.steady());
        let line = self.world.shared.line.next_at().filter(|_| !self.world.shared.is_holding());
        let receivers = self.world.shared.receivers.next_at();
        let pause = self.world.pauses.next().into_iter().chain(line).chain(receivers).min();
        let left = self.world.timers.next().map(|at| at.since(now).min(SLEEP_MAX));
        let left = left.into_iter().chain(pause.map(|at| at.since(steady))).min();
        let Some(left) = left.filter(|_| self.closing.is_none()) else {
            self.world.sleep = None;
            return false;
        };
        if left.is_zero() {
            return true;
        }
        let at = steady.plus(left);
        // One that ends earlier ends first: at its end the clock is looked at, which is what cuts sleeps short.
        if self.world.sleep.as_ref().is_none_or(|(until, _)| until.since(at) > SLEEP_SLACK) {
            self.world.sleep = Some((at, Box::pin(tokio::time::sleep(left))));
        }
        let Some((_, sleep)) = &mut self.world.sleep else { return false };
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.world.sleep = None;
        // Not yet by the calendar where the sleep was cut short: the next turn sleeps on.
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
                Some(run) => self.contained(run, |shard| shard.took(done)),
                None => self.took(done),
            }
        }
        for worked in std::mem::take(&mut self.worked) {
            self.contained(worked.run(), |shard| shard.worked(worked));
        }
        self.use_room();
        self.hear();
        self.fire();
        self.call_notices();
        self.start_waiting();
        while let Some(run) = self.world.dirty.pop_front() {
            self.contained(run, |shard| shard.look_at(run));
        }
        while let Some(run) = self.world.idle.surplus() {
            self.forget(run);
        }
    }

    /// Does something for one run. A panic in it sets that run aside, and the others of the shard go on (D4).
    fn contained(&mut self, run: RunId, work: impl FnOnce(&mut Self)) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) else { return };
        let reason = panic_text(panic.as_ref());
        match self.cells.get_mut(&run) {
            Some(cell) => {
                let was_dirty = std::mem::replace(&mut cell.is_dirty, false);
                self.world.dirty.retain(|dirty| !was_dirty || *dirty != run);
                self.world.set_aside(cell, reason);
            }
            None => tracing::error!(%run, reason, "a shard could not do something for a run"),
        }
    }

    /// Attempts that say that they really began, and what they use up.
    fn hear(&mut self) {
        for (id, so_far) in self.world.told.take_used() {
            if let Some(cell) = self.cells.get_mut(&id.run) {
                self.world.uses(cell, &id.attempt, so_far);
            }
        }
        for id in self.world.told.take() {
            if let Some(cell) = self.cells.get_mut(&id.run) {
                self.world.began(cell, &id.attempt);
            }
        }
    }

    /// Timers that are due become inputs.
    fn fire(&mut self) {
        if self.closing.is_some() {
            return;
        }
        let (now, steady) = (self.world.shared.now(), self.world.shared.steady());
        let former = std::mem::replace(&mut self.clock, now);
        if former.since(now) > CLOCK_SLACK {
            self.clock_was_set_back();
        }
        for _ in 0..TAKEN_MAX {
            let pause = self.world.pauses.pop(steady);
            let Some((run, due, key)) = pause.or_else(|| self.world.timers.pop(now)) else { return };
            self.contained(run, |shard| {
                let Some(cell) = shard.cells.get_mut(&run) else {
                    return match due {
                        Due::Notice(channel) => shard.parked_notice_due(run, channel),
                        Due::Timer(_) | Due::Settled => {}
                    };
                };
                match due {
                    Due::Timer(timer) => shard.world.fired(cell, timer, key),
                    Due::Settled => shard.world.settled(cell, true),
                    Due::Notice(channel) => shard.world.notice_due(cell, channel),
                }
            });
        }
        self.world.again = true;
    }

    /// What waits for a span to pass since the clock said more waits by what it says now.
    fn clock_was_set_back(&mut self) {
        let mut runs: Vec<RunId> =
            self.cells.values().filter(|cell| !cell.timers.is_empty()).map(|cell| cell.run).collect();
        runs.sort_unstable();
        for run in runs {
            if let Some(cell) = self.cells.get_mut(&run) {
                self.world.compare_clock(cell);
            }
        }
    }

    /// Decides what waits for a run, and sends what came of it.
    fn look_at(&mut self, run: RunId) {
        let Some(cell) = self.cells.get_mut(&run) else { return };
        cell.is_dirty = false;
        if matches!(cell.phase, Phase::Ready) {
            self.world.advance(cell);
        }
        if matches!(cell.phase, Phase::Ready) && cell.driven && !cell.is_copy() {
            // What was on its way when the run ended is there, or will not come.
            self.world.release(cell);
        }
        if cell.is_nothing() {
            // Its start was refused: there is no such run.
            self.world.idle.rouse(&run);
            self.cells.remove(&run);
            return;
        }
        let has_timers = !cell.timers.is_empty() || !cell.notices.is_empty();
        let is_resting = !cell.is_pinned() && (!has_timers || self.world.may_park());
        if is_resting {
            let has_ended = cell.has_ended();
            self.world.idle.rest(run, cell.rest(), has_ended);
        } else {
            self.world.idle.rouse(&run);
        }
    }

    /// Lets a run go from memory; whoever needs it next loads it.
    fn forget(&mut self, run: RunId) {
        let Some(cell) = self.cells.remove(&run) else { return };
        let mut earliest = None;
        let has_ended = cell.has_ended() && cell.timers.is_empty();
        for key in cell.timers.into_values().flatten().map(|(_, _, key)| key) {
            self.world.timers.remove(key);
            earliest = earliest.into_iter().chain([key.0]).min();
        }
        if let Some(at) = self.world.park(run, cell.notices, has_ended) {
            earliest = earliest.into_iter().chain([at]).min();
        }
        if let Some(at) = earliest {
            self.world.shared.wakes.parked(at);
        }
    }

    /// Whether the shutdown is complete: nothing is on its way into the store, and in-process work
    /// has ended or had its time.
    fn is_finished(&self) -> bool {
        if self.closing.is_none() || !self.world.dirty.is_empty() {
            return false;
        }
        if self.is_given_up {
            return !self.cells.values().any(|cell| matches!(cell.phase, Phase::Appending));
        }
        self.world.jobs.is_empty() && !self.cells.values().any(|cell| cell.has_in_process_work())
    }
}
