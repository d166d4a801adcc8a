//! The line: attempts and probes of all shards that wait for places, resources, rates and breakers.
//!
//! Laws:
//! - Nothing of it is durable. It is what runs and what waits, so a new engine makes it anew: what lives on
//!   takes what it held before, before anything else is served (D9).
//! - Whoever waits holds a [`Ticket`], whoever was served a [`Grant`]; dropping either gives back what
//!   belongs to it, so nothing is lost where an attempt is cancelled or its run leaves memory.
//!
//! [`order`] decides who is next; this is its lock, its letter boxes and its clock.

mod breaker;
mod lane;
mod order;
mod rate;
mod settings;
mod view;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::oneshot;

pub(super) use breaker::Outcome;
pub(super) use order::Needs;
use order::{Order, Served};
pub use settings::{BreakerPolicy, FairBy, OrderConfig, RatePolicy};
pub use view::{BreakerStand, BreakerView, LineView, PoolView, RateView, Reason, Waiting};

use super::EngineConfig;
use super::limits::Class;
use crate::clock::Clock;
use crate::execution::Service;
use crate::id::{AttemptId, EffectId, RunId};
use crate::time::Timestamp;

/// Who is to be told that it was served.
#[derive(Debug)]
enum Waiter {
    Attempt { shard: usize, id: EffectId },
    Probe { id: EffectId, served: oneshot::Sender<Grant> },
}

impl Waiter {
    fn run(&self) -> RunId {
        match self {
            Self::Attempt { id, .. } | Self::Probe { id, .. } => id.run,
        }
    }
}

/// What stands behind the lock.
struct Book {
    order: Order<Waiter>,
    /// Who of a run waits, and since when.
    runs: HashMap<RunId, BTreeSet<u64>>,
    about: HashMap<u64, About>,
    /// What work holds whose run this engine does not go on with.
    absent: HashMap<EffectId, Held>,
    /// Attempts that were re-attached before all that lives was counted.
    attached: HashSet<EffectId>,
    /// The run of whose living work nobody knows what it holds.
    unread: Option<RunId>,
    /// Nobody is served: what lives on takes its places first, or the engine ends.
    is_held: bool,
    /// When somebody may be served without anybody giving anything back.
    next_at: Option<Timestamp>,
}

/// What somebody holds.
struct Held {
    number: u64,
    needs: Arc<Needs>,
    group: Arc<str>,
}

struct About {
    id: EffectId,
    gate: Option<String>,
    since: Timestamp,
}

/// The line, shared by all shards.
pub(super) struct Line {
    book: Mutex<Book>,
    boxes: Vec<LetterBox>,
    /// One that does not jump: pauses and rates count by it.
    clock: Clock,
    config: OrderConfig,
}

/// An attempt that was served. What it got is held by whoever takes the letter out.
struct Letter {
    id: EffectId,
    number: u64,
    needs: Arc<Needs>,
    group: Arc<str>,
}

/// The letters of a shard.
#[derive(Default)]
struct LetterBox {
    served: Mutex<VecDeque<Letter>>,
    waker: AtomicWaker,
}

/// Who asks, and how it stands among the others.
pub(super) struct Standing {
    pub(super) priority: i32,
    pub(super) group: Arc<str>,
}

/// The right to start, and what goes with it; given back on drop.
pub(super) struct Grant {
    line: Arc<Line>,
    number: u64,
    needs: Arc<Needs>,
    group: Arc<str>,
    is_used: bool,
    outcome: Outcome,
}

impl Grant {
    /// The work begins.
    pub(super) fn begin(&mut self) {
        self.is_used = true;
    }

    /// The work is over, and says this of the services that it called upon.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let now = (self.line.clock)();
        let served = {
            let mut book = self.line.book();
            let Self { number, needs, group, is_used, outcome, .. } = &*self;
            book.order.give_back(*number, needs, group, *is_used, outcome, now);
            book.serve(now)
        };
        Line::tell(&self.line, served);
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("number", &self.number)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// A place in the line; left on drop.
pub(super) struct Ticket {
    line: Arc<Line>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = (self.line.clock)();
        let (waiter, served) = {
            let mut book = self.line.book();
            let Some(waiter) = book.order.leave(self.number) else { return };
            book.forget(self.number, waiter.run());
            // Something may have been kept for it.
            (waiter, book.serve(now))
        };
        drop(waiter);
        Line::tell(&self.line, served);
    }
}

/// What asking led to.
pub(super) enum Asked {
    Served(Grant),
    Waits(Ticket),
}

impl Line {
    pub(super) fn new(config: &EngineConfig, clock: Clock) -> Self {
        let classes = [
            (Class::Supervised, config.supervised_max.max(1)),
            (Class::Function, config.functions_max.max(1)),
            (Class::Child, usize::MAX),
            (Class::Probe, config.probes_max.max(1)),
            (Class::Elsewhere, config.elsewhere_max.max(1)),
        ];
        let order = Order::new(&config.order, classes);
        let book = Book {
            order,
            runs: HashMap::new(),
            about: HashMap::new(),
            absent: HashMap::new(),
            attached: HashSet::new(),
            unread: None,
            is_held: false,
            next_at: None,
        };
        Self {
            book: Mutex::new(book),
            boxes: (0..config.shards.max(1)).map(|_| LetterBox::default()).collect(),
            clock,
            config: config.order.clone(),
        }
    }

    /// What the settings say.
    pub(super) fn config(&self) -> &OrderConfig {
        &self.config
    }

    /// What work needs.
    pub(super) fn needs(&self, class: Class, resources: &[String], services: &[Service]) -> Needs {
        self.book().order.needs(class, resources, services)
    }

    /// An attempt of a shard asks to start. Where it must wait, its letter box gets the grant.
    pub(super) fn ask(
        self: &Arc<Self>,
        shard: usize,
        id: EffectId,
        needs: Needs,
        standing: Standing,
    ) -> Asked {
        let about = About { id: id.clone(), gate: None, since: (self.clock)() };
        self.join(needs, standing, about, Waiter::Attempt { shard, id })
    }

    /// Resolves when a probe may start.
    pub(super) async fn probe(
        self: Arc<Self>,
        id: EffectId,
        gate: String,
        needs: Needs,
        standing: Standing,
    ) -> Grant {
        let (sender, served) = oneshot::channel();
        let about = About { id: id.clone(), gate: Some(gate), since: (self.clock)() };
        match self.join(needs, standing, about, Waiter::Probe { id, served: sender }) {
            Asked::Served(grant) => grant,
            Asked::Waits(_ticket) => {
                // A probe joins the line beside the shards: one of them is to see when time alone serves it.
                if let Some(shard) = self.boxes.first() {
                    shard.waker.wake();
                }
                match served.await {
                    Ok(grant) => grant,
                    // The line is never closed while somebody holds it.
                    Err(_closed) => std::future::pending().await,
                }
            }
        }
    }

    fn join(self: &Arc<Self>, needs: Needs, standing: Standing, about: About, waiter: Waiter) -> Asked {
        let now = about.since;
        let run = waiter.run();
        if let Waiter::Attempt { id, .. } = &waiter
            && self.is_counted(id)
        {
            // It lives since a former engine, though nobody recorded that it began.
            return Asked::Served(self.seize(id.clone(), needs, standing.group));
        }
        let (number, mut served) = {
            let mut book = self.book();
            let number = book.order.join(needs, standing.priority, standing.group, waiter);
            book.runs.entry(run).or_default().insert(number);
            book.about.insert(number, about);
            (number, book.serve(now))
        };
        let own = served.iter().position(|served| served.number == number).map(|at| served.remove(at));
        Self::tell(self, served);
        match own {
            Some(own) => Asked::Served(self.grant(own.number, own.needs, own.group)),
            None => Asked::Waits(Ticket { line: Arc::clone(self), number }),
        }
    }

    /// An attempt that lives on has what it needs already.
    pub(super) fn seize(self: &Arc<Self>, id: EffectId, needs: Needs, group: Arc<str>) -> Grant {
        let (number, needs) = {
            let mut book = self.book();
            // What it held as an absent one it goes on to hold: nobody is served in between.
            if let Some(Held { number, needs, group }) = book.absent.remove(&id) {
                let now = (self.clock)();
                book.order.give_back(number, &needs, &group, true, &Outcome::Unknown, now);
            }
            if book.order.keeps_resources() {
                book.attached.insert(id);
            }
            book.order.seize(needs, Arc::clone(&group))
        };
        Grant { line: Arc::clone(self), number, needs, group, is_used: true, outcome: Outcome::Unknown }
    }

    /// From now on no resource is given to anybody, or again: all that lives is counted first.
    pub(super) fn keep_resources(self: &Arc<Self>, is_kept: bool) {
        let served = {
            let mut book = self.book();
            book.order.keep_resources(is_kept);
            book.attached.clear();
            book.unread = None;
            book.serve((self.clock)())
        };
        Self::tell(self, served);
    }

    /// Says because of which run no resource is given.
    pub(super) fn cannot_count(&self, run: RunId) {
        self.book().unread = Some(run);
    }

    /// An attempt lives that nobody here goes on with. False where somebody does: where it waits, though it
    /// lives, it has what it waits for.
    pub(super) fn count(self: &Arc<Self>, id: &EffectId, resources: &[String], group: Arc<str>) -> bool {
        let mut book = self.book();
        if book.attached.contains(id) || book.absent.contains_key(id) {
            return false;
        }
        if let Some(served) = book.give(id) {
            drop(book);
            Self::tell(self, vec![served]);
            return false;
        }
        let needs = Needs::resources(resources);
        let (number, needs) = book.order.seize(needs, Arc::clone(&group));
        book.absent.insert(id.clone(), Held { number, needs, group });
        true
    }

    /// Whether an attempt is counted that nobody here goes on with.
    pub(super) fn is_counted(&self, id: &EffectId) -> bool {
        self.book().absent.contains_key(id)
    }

    /// Such an attempt has ended, or is gone on with.
    pub(super) fn count_no_more(self: &Arc<Self>, id: &EffectId) {
        let now = (self.clock)();
        let served = {
            let mut book = self.book();
            let Some(Held { number, needs, group }) = book.absent.remove(id) else { return };
            book.order.give_back(number, &needs, &group, true, &Outcome::Unknown, now);
            book.serve(now)
        };
        Self::tell(self, served);
    }

    /// From now on nobody is served, or again.
    pub(super) fn hold(self: &Arc<Self>, is_held: bool) {
        let served = {
            let mut book = self.book();
            book.is_held = is_held;
            book.serve((self.clock)())
        };
        Self::tell(self, served);
    }

    /// When the line is to be looked at again though nothing happens.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.book().next_at
    }

    /// Serves whom only the time has kept waiting.
    pub(super) fn tick(self: &Arc<Self>) {
        let now = (self.clock)();
        let served = {
            let mut book = self.book();
            if book.next_at.is_none_or(|at| at > now) {
                return;
            }
            book.serve(now)
        };
        Self::tell(self, served);
    }

    /// Whether something was granted to attempts of a shard; its task is woken when there will be.
    pub(super) fn poll(&self, shard: usize, cx: &Context<'_>) -> bool {
        let own = &self.boxes[shard];
        own.waker.register(cx.waker());
        !own.letters().is_empty()
    }

    /// What was granted, up to so much.
    pub(super) fn take(self: &Arc<Self>, shard: usize, max: usize) -> Vec<(EffectId, Grant)> {
        let letters: Vec<Letter> = {
            let mut letters = self.boxes[shard].letters();
            let count = letters.len().min(max);
            letters.drain(..count).collect()
        };
        let granted = |letter: Letter| (letter.id, self.grant(letter.number, letter.needs, letter.group));
        letters.into_iter().map(granted).collect()
    }

    /// Of the services that were called upon the last one, who answers, wants to be left alone for so long. To be
    /// said before the grant of who heard it ends.
    pub(super) fn leave_alone(&self, services: &[Service], span: Duration, why: &str) {
        let now = (self.clock)();
        if let Some(service) = services.last() {
            self.book().order.breakers.leave_alone(service, span, why, now);
        }
    }

    /// Closes a breaker; false where there is none of that name.
    pub(super) fn reset(self: &Arc<Self>, service: &Service) -> bool {
        let (is_known, served) = {
            let mut book = self.book();
            let is_known = book.order.breakers.reset(service);
            (is_known, book.serve((self.clock)()))
        };
        Self::tell(self, served);
        is_known
    }

    /// Outside of the lock: where nobody hears it any more, the grant is given back at once.
    fn tell(line: &Arc<Self>, served: Vec<Served<Waiter>>) {
        for Served { number, what, needs, group } in served {
            match what {
                Waiter::Attempt { shard, id } => {
                    let own = &line.boxes[shard];
                    own.letters().push_back(Letter { id, number, needs, group });
                    own.waker.wake();
                }
                Waiter::Probe { served, .. } => drop(served.send(line.grant(number, needs, group))),
            }
        }
    }

    fn grant(self: &Arc<Self>, number: u64, needs: Arc<Needs>, group: Arc<str>) -> Grant {
        let line = Arc::clone(self);
        Grant { line, number, needs, group, is_used: false, outcome: Outcome::Unknown }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Everybody who can be served now.
    fn serve(&mut self, now: Timestamp) -> Vec<Served<Waiter>> {
        let mut all = Vec::new();
        if self.is_held {
            self.next_at = None;
            return all;
        }
        while let Some(served) = self.order.next(now) {
            self.forget(served.number, served.what.run());
            all.push(served);
        }
        self.next_at = self.order.next_at(now);
        all
    }

    /// An attempt that waits takes what it needs, whether or not it is there.
    fn give(&mut self, id: &EffectId) -> Option<Served<Waiter>> {
        let waits = |number: &&u64| {
            self.about.get(number).is_some_and(|about| about.id == *id && about.gate.is_none())
        };
        let number = *self.runs.get(&id.run)?.iter().find(waits)?;
        let place = self.order.place(number)?.clone();
        let what = self.order.leave(number)?;
        self.forget(number, id.run);
        let needs = Needs::clone(&place.needs);
        let (number, needs) = self.order.seize(needs, Arc::clone(&place.group));
        Some(Served { number, what, needs, group: place.group })
    }

    fn forget(&mut self, number: u64, run: RunId) {
        self.about.remove(&number);
        if let Some(numbers) = self.runs.get_mut(&run) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.runs.remove(&run);
            }
        }
    }
}

impl LetterBox {
    fn letters(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
