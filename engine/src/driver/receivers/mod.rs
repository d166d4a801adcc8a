//! Whoever is told by notices of runs: places for those that are being sent, and who waits for which receiver.
//!
//! Laws (L32):
//! - Nothing of it is durable: a new engine knows nothing of any receiver, and finds out.
//! - Whoever waits holds a [`Ticket`], whoever goes a [`Place`]; dropping either gives back what belongs to it.
//! - A notice that waits needs no state of its run: the run may leave memory, and is loaded when its notice goes.
//!
//! [`order`] decides who is next; this is its lock, its letter boxes and its clock.

mod order;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures::task::AtomicWaker;
use serde::Serialize;

pub(super) use order::Failing;
use order::{Asked, Called, End, Order};

use super::EngineConfig;
use super::engine::Engine;
use super::shared::Shared;
use crate::clock::Clock;
use crate::execution::{Hidden, NoticeFailure};
use crate::id::{RunId, Version};
use crate::json::{Hash, Value};
use crate::time::Timestamp;

/// The longest that a receiver is left alone because it asks for it.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);
/// Runs of which it is remembered how the tries of their notices went.
const STANDS_MAX: usize = 10_000;
/// The longest reason that is remembered.
const MESSAGE_BYTES_MAX: usize = 500;

/// A notice of a run that has yet to be told: how its tries went. Not durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeStand {
    /// The version of the event that it tells of.
    pub version: Version,
    /// The notice of the run's pipeline.
    pub notice: String,
    /// Tries so far that came to nothing.
    pub tries: u32,
    /// Why the last one failed: of itself, or of another notice for the same receiver while it waits for that.
    pub failing: Option<String>,
    /// When it is tried again, at the earliest.
    pub next: Option<Timestamp>,
    /// It waits because its receiver did not take others.
    pub waits: bool,
}

/// How a notice stands.
#[derive(Debug, Clone)]
struct Stand {
    version: Version,
    notice: String,
    tries: u32,
    failing: Option<Arc<str>>,
    /// By the steady clock.
    next: Option<Timestamp>,
    /// The receiver that it waits for.
    waits_for: Option<Hash>,
}

/// Who is called: the shard, the run, the channel.
type Waiter = (usize, RunId, String);

struct Book {
    order: Order<Waiter>,
    stands: BTreeMap<RunId, BTreeMap<String, Stand>>,
}

/// A notice whose turn it is. Its place is held by whoever takes the letter out.
struct Letter {
    run: RunId,
    channel: String,
    receiver: Hash,
    in_doubt: bool,
}

/// Notices of one shard whose turn it is.
#[derive(Default)]
struct LetterBox {
    letters: Mutex<VecDeque<Letter>>,
    waker: AtomicWaker,
}

impl LetterBox {
    fn letters(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the shards know of receivers.
pub(super) struct Receivers {
    book: Mutex<Book>,
    boxes: Vec<LetterBox>,
    /// One that does not jump.
    clock: Clock,
}

/// The room that a notice takes while it is sent.
pub(super) struct Place {
    receivers: Arc<Receivers>,
    receiver: Hash,
    in_doubt: bool,
    end: End,
}

impl Place {
    /// Whom it is for.
    pub(super) fn receiver(&self) -> Hash {
        self.receiver
    }

    /// What the try came to.
    pub(super) fn ended(mut self, result: &Result<(), NoticeFailure>) {
        self.end = match result {
            Ok(()) => End::Told,
            Err(failure) if failure.permanent => End::Refused,
            Err(failure) => {
                let asked = failure.after.unwrap_or_default().min(ASKED_MAX);
                End::Failed(shortened(&failure.message), asked)
            }
        };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, End::Unknown);
        self.receivers.change(|order, now| order.end(self.receiver, self.in_doubt, end, now));
    }
}

/// A place among those that wait for a receiver.
pub(super) struct Ticket {
    receivers: Arc<Receivers>,
    receiver: Hash,
    number: u64,
}

impl Ticket {
    /// Whether its receiver is left alone at this time.
    pub(super) fn is_left_alone(&self) -> bool {
        self.receivers.is_left_alone(&self.receiver)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = (self.receivers.clock)();
        self.receivers.book().order.leave(self.receiver, self.number, now);
    }
}

/// Whether a notice goes at once.
pub(super) enum Turn {
    Now(Place),
    Later(Ticket),
}

/// What a notice is about, where it is said how it stands.
pub(super) struct About<'a> {
    pub(super) run: RunId,
    pub(super) channel: &'a str,
    pub(super) version: Version,
    pub(super) notice: &'a str,
    pub(super) tries: u32,
}

/// The same receiver is the same function with the same address: `to` is what of its parameters says that.
pub(super) fn receiver(function: &str, to: &Value, hidden: &[Hidden]) -> Hash {
    let hidden = serde_json::to_string(hidden).unwrap_or_default();
    Hash::of(format!("{function}\n{to}\n{hidden}").as_bytes())
}

fn shortened(message: &str) -> Arc<str> {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    Arc::from(&message[..end])
}

impl Receivers {
    pub(super) fn new(config: &EngineConfig, clock: Clock) -> Self {
        Self {
            book: Mutex::new(Book { order: Order::new(config.notices_max), stands: BTreeMap::new() }),
            boxes: (0..config.shards.max(1)).map(|_| LetterBox::default()).collect(),
            clock,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a place for the notice of a channel; who has to wait finds it in its shard's letter box.
    pub(super) fn ask(self: &Arc<Self>, receiver: Hash, shard: usize, run: RunId, channel: &str) -> Turn {
        let now = (self.clock)();
        let asked = self.book().order.ask(receiver, now, |_| (shard, run, channel.to_owned()));
        match asked {
            Asked::Goes(in_doubt) => Turn::Now(self.place(receiver, in_doubt)),
            Asked::Waits(number) => {
                let ticket = Ticket { receivers: Arc::clone(self), receiver, number };
                // Somebody sleeps until the receiver is tried again.
                self.boxes[shard].waker.wake();
                Turn::Later(ticket)
            }
        }
    }

    fn place(self: &Arc<Self>, receiver: Hash, in_doubt: bool) -> Place {
        Place { receivers: Arc::clone(self), receiver, in_doubt, end: End::Unknown }
    }

    /// Changes the order, and calls those whose turn it is then.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Order<Waiter>, Timestamp)) {
        let now = (self.clock)();
        let called = {
            let mut book = self.book();
            change(&mut book.order, now);
            book.order.serve(now)
        };
        for Called { who: (shard, run, channel), receiver, in_doubt } in called {
            let own = &self.boxes[shard];
            own.letters().push_back(Letter { run, channel, receiver, in_doubt });
            own.waker.wake();
        }
    }

    /// Calls those whose receivers were left alone for long enough.
    pub(super) fn tick(self: &Arc<Self>) {
        if self.next_at().is_some_and(|next| next <= (self.clock)()) {
            self.change(|_, _| {});
        }
    }

    /// Somebody wants a receiver to be tried now: by the notice that has waited longest.
    pub(super) fn hurry(self: &Arc<Self>, receiver: Hash) {
        self.change(|order, now| order.hurry(receiver, now));
    }

    /// When a receiver is to be tried again for which something waits.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.book().order.next()
    }

    /// Whether a shard has letters; it is woken for the next.
    pub(super) fn poll(&self, shard: usize, cx: &Context<'_>) -> bool {
        let own = &self.boxes[shard];
        own.waker.register(cx.waker());
        !own.letters().is_empty()
    }

    /// The notices of a shard whose turn it is, up to so many.
    pub(super) fn take(self: &Arc<Self>, shard: usize, max: usize) -> Vec<(RunId, String, Place)> {
        let letters: Vec<Letter> = {
            let mut letters = self.boxes[shard].letters();
            let count = letters.len().min(max);
            letters.drain(..count).collect()
        };
        let placed =
            |letter: Letter| (letter.run, letter.channel, self.place(letter.receiver, letter.in_doubt));
        letters.into_iter().map(placed).collect()
    }

    /// What is known of a receiver that did not take the last notice.
    pub(super) fn failing(&self, receiver: &Hash) -> Option<Failing> {
        self.book().order.failing(receiver)
    }

    /// Failures of a receiver since it is known.
    pub(super) fn failures(&self, receiver: &Hash) -> u64 {
        self.book().order.failures(receiver)
    }

    /// Whether a receiver is left alone.
    pub(super) fn is_left_alone(&self, receiver: &Hash) -> bool {
        self.book().order.is_left_alone(receiver)
    }

    /// A notice failed, and goes again then.
    pub(super) fn failed(&self, about: &About<'_>, message: &str, next: Timestamp) {
        let stand = Self::stand(about, Some(shortened(message)), Some(next), None);
        self.keep(about, stand);
    }

    /// A notice waits for its receiver.
    pub(super) fn waits(&self, about: &About<'_>, receiver: Hash) {
        let former = self.book().stands.get(&about.run).and_then(|run| run.get(about.channel)).cloned();
        let failing = former.filter(|former| former.version == about.version).and_then(|it| it.failing);
        self.keep(about, Self::stand(about, failing, None, Some(receiver)));
    }

    fn stand(
        about: &About<'_>,
        failing: Option<Arc<str>>,
        next: Option<Timestamp>,
        waits_for: Option<Hash>,
    ) -> Stand {
        let notice = about.notice.to_owned();
        Stand { version: about.version, notice, tries: about.tries, failing, next, waits_for }
    }

    fn keep(&self, about: &About<'_>, stand: Stand) {
        let mut book = self.book();
        if book.stands.len() < STANDS_MAX || book.stands.contains_key(&about.run) {
            book.stands.entry(about.run).or_default().insert(about.channel.to_owned(), stand);
        }
    }

    /// Nothing of a channel stands any more.
    pub(super) fn forget(&self, run: RunId, channel: &str) {
        let mut book = self.book();
        let Some(channels) = book.stands.get_mut(&run) else { return };
        channels.remove(channel);
        if channels.is_empty() {
            book.stands.remove(&run);
        }
    }

    /// How the notices of a run stand whose tries came to nothing so far.
    fn of(&self, run: RunId, shared: &Shared) -> Vec<NoticeStand> {
        let (now, steady) = (shared.now(), shared.steady());
        let calendar = |at: Timestamp| now.plus(at.since(steady));
        let book = self.book();
        let stands = book.stands.get(&run).into_iter().flat_map(BTreeMap::values);
        let view = |stand: &Stand| {
            let receiver = stand.waits_for.and_then(|receiver| book.order.failing(&receiver));
            let failing = receiver.as_ref().map(|failing| &failing.message).or(stand.failing.as_ref());
            let next = receiver.as_ref().map_or(stand.next, |failing| failing.next);
            NoticeStand {
                version: stand.version,
                notice: stand.notice.clone(),
                tries: stand.tries,
                failing: failing.map(|message| message.to_string()),
                next: next.map(calendar),
                waits: receiver.is_some(),
            }
        };
        stands.map(view).collect()
    }
}

impl Engine {
    /// How the notices of a run stand that this engine tried to tell, or that wait for a receiver that does not answer.
    /// Those that were never tried are not among them; [`crate::state::RunState::outstanding_notices`] lists all.
    #[must_use]
    pub fn notice_stands(&self, run: RunId) -> Vec<NoticeStand> {
        let shared = &self.inner.shared;
        shared.receivers.of(run, shared)
    }
}
