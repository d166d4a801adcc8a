//! The lock, the inboxes and the clock of the receivers; the queue decides which notice is next.

use crate::config::EngineConfig;
use crate::deps::Deps;
use crate::receivers::queue::{CalledReceiver, DeliveryEnd, Failing, QueueReply, ReceiverQueue};
use everfold_base::id::{RunId, Version};
use everfold_base::json::{Hash, Value};
use everfold_base::time::Timestamp;
use everfold_language::expr::Hidden;
use everfold_ports::NoticeFailure;
use everfold_system::clock::Clock;
use futures::task::AtomicWaker;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::time::Duration;

/// The longest pause that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);

/// Runs of which it is remembered how the tries of their notices went.
const STANDS_MAX: usize = 10_000;

/// The longest reason that is remembered.
const MESSAGE_BYTES_MAX: usize = 500;

/// A notice of a run that is not sent yet: how its tries went. Not durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeStand {
    /// The version of the event that it is about.
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
struct NoticeRecord {
    version: Version,
    notice: String,
    tries: u32,
    failing: Option<Arc<str>>,
    /// By the steady clock.
    next: Option<Timestamp>,
    /// The receiver that it waits for.
    waits_for: Option<Hash>,
}

/// The address of a call: the shard, the run, the channel.
type CallAddress = (usize, RunId, String);

struct RegistryState {
    queue: ReceiverQueue<CallAddress>,
    stands: BTreeMap<RunId, BTreeMap<String, NoticeRecord>>,
}

/// A notice whose turn it is. Its place is held by the shard that takes it out of the inbox.
struct CalledNotice {
    run: RunId,
    channel: String,
    receiver: Hash,
    in_doubt: bool,
}

/// Notices of one shard whose turn it is.
#[derive(Default)]
struct Inbox {
    called_notices: Mutex<VecDeque<CalledNotice>>,
    waker: AtomicWaker,
}

impl Inbox {
    fn called_notices(&self) -> MutexGuard<'_, VecDeque<CalledNotice>> {
        self.called_notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the shards know of receivers.
pub(crate) struct Receivers {
    state: Mutex<RegistryState>,
    inboxes: Vec<Inbox>,
    /// A clock that does not jump.
    clock: Clock,
}

/// The room that a notice takes while it is sent.
pub(crate) struct SendingPlace {
    receivers: Arc<Receivers>,
    receiver: Hash,
    in_doubt: bool,
    end: DeliveryEnd,
}

impl SendingPlace {
    /// Its receiver.
    pub(crate) fn receiver(&self) -> Hash {
        self.receiver
    }

    /// The try ended.
    pub(crate) fn ended<T>(mut self, result: &Result<T, NoticeFailure>) {
        self.end = match result {
            Ok(_) => DeliveryEnd::Delivered,
            Err(failure) if failure.permanent => DeliveryEnd::Refused,
            Err(failure) => {
                let asked = failure.after.unwrap_or_default().min(ASKED_MAX);
                DeliveryEnd::Failed(shortened(&failure.message), asked)
            }
        };
    }
}

impl Drop for SendingPlace {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, DeliveryEnd::Unknown);
        self.receivers.change(|queue, now| queue.end(self.receiver, self.in_doubt, end, now));
    }
}

/// A place among those that wait for a receiver.
pub(crate) struct NoticeTicket {
    receivers: Arc<Receivers>,
    receiver: Hash,
    number: u64,
}

impl NoticeTicket {
    /// Whether its receiver is left alone at this time.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.receivers.is_left_alone(&self.receiver)
    }
}

impl Drop for NoticeTicket {
    fn drop(&mut self) {
        let now = (self.receivers.clock)();
        self.receivers.state().queue.leave(self.receiver, self.number, now);
    }
}

/// Whether a notice goes at once.
pub(crate) enum NoticeTurn {
    Now(SendingPlace),
    Later(NoticeTicket),
}

/// A notice, as its progress is reported.
pub(crate) struct NoticeAddress<'a> {
    pub(crate) run: RunId,
    pub(crate) channel: &'a str,
    pub(crate) version: Version,
    pub(crate) notice: &'a str,
    pub(crate) tries: u32,
}

/// The same receiver is the same function with the same address: `to` is the part of its parameters that names it.
pub(crate) fn receiver(function: &str, to: &Value, hidden: &[Hidden]) -> Hash {
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
    pub(crate) fn new(config: &EngineConfig, clock: Clock) -> Self {
        Self {
            state: Mutex::new(RegistryState {
                queue: ReceiverQueue::new(config.notices_max),
                stands: BTreeMap::new(),
            }),
            inboxes: (0..config.shards.max(1)).map(|_| Inbox::default()).collect(),
            clock,
        }
    }

    fn state(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a place for the notice of a channel; one that waits finds it in its shard's inbox.
    pub(crate) fn ask(
        self: &Arc<Self>,
        receiver: Hash,
        shard: usize,
        run: RunId,
        channel: &str,
    ) -> NoticeTurn {
        let now = (self.clock)();
        let asked = self.state().queue.ask(receiver, now, |_| (shard, run, channel.to_owned()));
        match asked {
            QueueReply::Goes(in_doubt) => NoticeTurn::Now(self.place(receiver, in_doubt)),
            QueueReply::Waits(number) => {
                let ticket = NoticeTicket { receivers: Arc::clone(self), receiver, number };
                // A shard sleeps until the receiver is tried again.
                self.inboxes[shard].waker.wake();
                NoticeTurn::Later(ticket)
            }
        }
    }

    fn place(self: &Arc<Self>, receiver: Hash, in_doubt: bool) -> SendingPlace {
        SendingPlace { receivers: Arc::clone(self), receiver, in_doubt, end: DeliveryEnd::Unknown }
    }

    /// Changes the order, and calls those whose turn it is then.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut ReceiverQueue<CallAddress>, Timestamp)) {
        let now = (self.clock)();
        let called = {
            let mut state = self.state();
            change(&mut state.queue, now);
            state.queue.serve(now)
        };
        for CalledReceiver { waiter: (shard, run, channel), receiver, in_doubt } in called {
            let own = &self.inboxes[shard];
            own.called_notices().push_back(CalledNotice { run, channel, receiver, in_doubt });
            own.waker.wake();
        }
    }

    /// Calls those whose receivers were left alone for long enough.
    pub(crate) fn tick(self: &Arc<Self>) {
        if self.next_at().is_some_and(|next| next <= (self.clock)()) {
            self.change(|_, _| {});
        }
    }

    /// Has a receiver tried now: by the notice that has waited longest.
    pub(crate) fn hurry(self: &Arc<Self>, receiver: Hash) {
        self.change(|queue, now| queue.hurry(receiver, now));
    }

    /// When a receiver is to be tried again for which something waits.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.state().queue.next()
    }

    /// Whether a shard has called notices; it is woken for the next.
    pub(crate) fn poll(&self, shard: usize, cx: &Context<'_>) -> bool {
        let own = &self.inboxes[shard];
        own.waker.register(cx.waker());
        !own.called_notices().is_empty()
    }

    /// The notices of a shard whose turn it is, up to so many.
    pub(crate) fn take(self: &Arc<Self>, shard: usize, max: usize) -> Vec<(RunId, String, SendingPlace)> {
        let called_notices: Vec<CalledNotice> = {
            let mut called_notices = self.inboxes[shard].called_notices();
            let count = called_notices.len().min(max);
            called_notices.drain(..count).collect()
        };
        let placed = |called_notice: CalledNotice| {
            (
                called_notice.run,
                called_notice.channel,
                self.place(called_notice.receiver, called_notice.in_doubt),
            )
        };
        called_notices.into_iter().map(placed).collect()
    }

    /// What is known of a receiver that did not take the last notice.
    pub(crate) fn failing(&self, receiver: &Hash) -> Option<Failing> {
        self.state().queue.failing(receiver)
    }

    /// Failures of a receiver since it is known.
    pub(crate) fn failures(&self, receiver: &Hash) -> u64 {
        self.state().queue.failures(receiver)
    }

    /// Whether a receiver is left alone.
    pub(crate) fn is_left_alone(&self, receiver: &Hash) -> bool {
        self.state().queue.is_left_alone(receiver)
    }

    /// A notice failed, and goes again then.
    pub(crate) fn failed(&self, about: &NoticeAddress<'_>, message: &str, next: Timestamp) {
        let stand = Self::stand(about, Some(shortened(message)), Some(next), None);
        self.keep(about, stand);
    }

    /// A notice waits for its receiver.
    pub(crate) fn waits(&self, about: &NoticeAddress<'_>, receiver: Hash) {
        let former = self.state().stands.get(&about.run).and_then(|run| run.get(about.channel)).cloned();
        let failing = former.filter(|former| former.version == about.version).and_then(|it| it.failing);
        self.keep(about, Self::stand(about, failing, None, Some(receiver)));
    }

    fn stand(
        about: &NoticeAddress<'_>,
        failing: Option<Arc<str>>,
        next: Option<Timestamp>,
        waits_for: Option<Hash>,
    ) -> NoticeRecord {
        let notice = about.notice.to_owned();
        NoticeRecord { version: about.version, notice, tries: about.tries, failing, next, waits_for }
    }

    fn keep(&self, about: &NoticeAddress<'_>, stand: NoticeRecord) {
        let mut state = self.state();
        if state.stands.len() < STANDS_MAX || state.stands.contains_key(&about.run) {
            state.stands.entry(about.run).or_default().insert(about.channel.to_owned(), stand);
        }
    }

    /// Forgets the progress of a channel.
    pub(crate) fn forget(&self, run: RunId, channel: &str) {
        let mut state = self.state();
        let Some(channels) = state.stands.get_mut(&run) else { return };
        channels.remove(channel);
        if channels.is_empty() {
            state.stands.remove(&run);
        }
    }

    /// How the notices of a run stand whose tries came to nothing so far.
    pub(crate) fn of(&self, run: RunId, shared: &Deps) -> Vec<NoticeStand> {
        let (now, steady) = (shared.now(), shared.steady());
        let calendar = |at: Timestamp| now.plus(at.since(steady));
        let state = self.state();
        let stands = state.stands.get(&run).into_iter().flat_map(BTreeMap::values);
        let view = |stand: &NoticeRecord| {
            let receiver = stand.waits_for.and_then(|receiver| state.queue.failing(&receiver));
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
