//! The task at the desk of hooks.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::super::shared::Shared;
use super::super::triggers::{By, Stopped, Tail, TailError};
use super::handle::{Handled, Work, handle, offer};
use super::source::Source;
use super::{Answer, Ask, HookError, Receipt};
use crate::actor::Actor;
use crate::envelope::{Envelope, StreamKind};
use crate::event::RunEvent;
use crate::hooks::{DeliveryReceived, HookEvent, MeantBy, ParkedId, TriggerOutcome};
use crate::id::{Position, Version};
use crate::store::{ReadError, Subscription};
use crate::time::Timestamp;
use crate::triggers::Outcome;

/// Sources that are kept though nothing is to be done for them.
const IDLE_MAX: usize = 64;
/// Streams that are listed at once.
const PAGE: usize = 1_000;
/// How often a source is decided on again whose stream is not what it was thought to be.
const TRIES: u32 = 5;
/// The pause between two offers of what waits.
const OFFER_EVERY: Duration = Duration::from_millis(250);
/// The pause before a source is worked on again that could not be.
const FAILED_AGAIN: Duration = Duration::from_secs(5);

/// The one who takes deliveries.
pub(in crate::driver) struct HookDesk {
    shared: Arc<Shared>,
    asks: Option<mpsc::Receiver<Ask>>,
    sources: HashMap<String, Busy>,
    works: JoinSet<Worked>,
    /// What happens to runs, followed while signals wait for one.
    changes: Option<Box<dyn Subscription>>,
    /// When what waits is to be offered again.
    offer_at: Option<Timestamp>,
    /// Sources that something is to be done for and that could not be read; whether all of it is.
    unread: BTreeMap<String, bool>,
    /// Signals that wait are to be found.
    attends: bool,
}

/// A source, and what is being done for it.
struct Busy {
    source: Source,
    is_worked_on: bool,
    /// It could not be worked on: not before.
    rests_until: Option<Timestamp>,
    /// Its deliveries are handled here, too; else only what waits is offered.
    handles: bool,
    /// What became of the last append is not known: it is read anew before it is used.
    is_stale: bool,
    /// Who waits for a handling.
    awaited: HashMap<(Version, u32), Vec<oneshot::Sender<Vec<TriggerOutcome>>>>,
    /// What waits is to be offered.
    offers: bool,
}

/// What came of a piece of work.
struct Worked {
    source: String,
    result: Result<Outcomes, Stopped>,
}

/// What was done.
enum Outcomes {
    Handled(Version, u32, Handled),
    Offered(Vec<(ParkedId, Outcome)>),
}

impl HookDesk {
    pub(in crate::driver) fn new(shared: Arc<Shared>) -> Self {
        let asks = shared.hooks.take();
        Self {
            shared,
            asks,
            sources: HashMap::new(),
            works: JoinSet::new(),
            changes: None,
            offer_at: None,
            unread: BTreeMap::new(),
            attends: false,
        }
    }

    /// Works until the engine ends or the store takes nothing more.
    pub(in crate::driver) async fn run(mut self) {
        let Some(mut asks) = self.asks.take() else { return };
        loop {
            let offer_in = self.offer_at.map(|at| at.since(self.shared.steady()));
            let rest = async move {
                match offer_in {
                    Some(span) => tokio::time::sleep(span).await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                biased;
                Some(worked) = self.works.join_next() => match worked {
                    Ok(worked) => self.worked(worked).await,
                    Err(_aborted) => Ok(()),
                },
                ask = asks.recv() => match ask {
                    None => return,
                    Some(ask) => self.answer(ask).await,
                },
                () = rest => {
                    self.offer_at = None;
                    self.sources.values_mut().for_each(|busy| busy.offers = true);
                    self.look_again().await
                }
                events = next_change(&mut self.changes) => {
                    match events {
                        Ok(true) if self.offer_at.is_none() => {
                            self.offer_at = Some(self.shared.steady().plus(OFFER_EVERY));
                            Ok(())
                        }
                        Ok(_) => Ok(()),
                        Err(ReadError::Closed) => Err(TailError::Closed),
                        // It is followed from its end on; what happened until then shows when all that waits is
                        // offered.
                        Err(_unreadable) => {
                            self.changes = None;
                            self.rest();
                            Ok(())
                        }
                    }
                }
            };
            match done {
                Ok(()) => {}
                Err(TailError::Closed) => return,
                Err(error) => {
                    if !self.shared.is_stopping() {
                        tracing::error!(%error, "a source of webhooks cannot be kept; it is tried again");
                    }
                    // What is kept is read anew: it may not be what is stored.
                    let undone = self
                        .sources
                        .iter()
                        .filter(|(_, busy)| !busy.is_worked_on && busy.source.state.is_busy());
                    self.unread.extend(undone.map(|(name, busy)| (name.clone(), busy.handles)));
                    self.sources.retain(|_, busy| busy.is_worked_on);
                    self.rest();
                }
            }
            self.go_on();
        }
    }

    /// An error ends the desk: the store takes nothing more.
    async fn answer(&mut self, ask: Ask) -> Result<(), TailError> {
        match ask {
            Ask::Deliver { source, delivery, answer } => self.deliver(&source, *delivery, answer).await,
            Ask::Redeliver { source, delivery, nth, by, answer } => {
                self.redeliver(&source, delivery, nth, &by, answer).await
            }
            Ask::Mean { source, by, runs, answer } => {
                let event = HookEvent::SignalMeant(crate::hooks::SignalMeant { by, runs });
                self.record(&source, &Actor::Engine.into(), |_, _| Some(event.clone())).await?;
                let _gone = answer.send(());
                Ok(())
            }
            Ask::Look(streams) => {
                for stream in streams {
                    self.look(&stream.id, true).await?;
                }
                Ok(())
            }
            Ask::Attend => {
                self.attends = true;
                self.attend().await
            }
            Ask::Tick => {
                let now = self.shared.steady();
                for busy in self.sources.values_mut() {
                    let shared = &self.shared;
                    let is_old = |parked: &crate::hooks::Parked| {
                        shared.now().since(parked.since) >= crate::hooks::KEPT
                    };
                    busy.offers |= busy.source.state.parked().values().any(is_old);
                    busy.offers |= self.changes.is_none() && !busy.source.state.parked().is_empty();
                    if busy.rests_until.is_some_and(|until| until <= now) {
                        busy.rests_until = None;
                    }
                }
                Ok(())
            }
        }
    }

    /// Goes on with a source; one that cannot be read is looked at again. `handles`: deliveries, too.
    async fn look(&mut self, name: &str, handles: bool) -> Result<(), TailError> {
        match self.open(name).await {
            Err(TailError::Closed) => Err(TailError::Closed),
            Err(error) => {
                tracing::error!(%error, "a source cannot be gone on with; it is tried again");
                *self.unread.entry(name.to_owned()).or_default() |= handles;
                self.rest();
                Ok(())
            }
            Ok(busy) => {
                busy.offers = true;
                busy.handles |= handles;
                Ok(())
            }
        }
    }

    /// Looks at what could not be read.
    async fn look_again(&mut self) -> Result<(), TailError> {
        for (name, handles) in std::mem::take(&mut self.unread) {
            self.look(&name, handles).await?;
        }
        if self.attends { self.attend().await } else { Ok(()) }
    }

    /// Finds the sources in which signals wait.
    async fn attend(&mut self) -> Result<(), TailError> {
        let mut after = None;
        loop {
            let page = self.shared.store.streams(StreamKind::Hook, after, PAGE).await;
            let page = match page {
                Ok(page) => page,
                Err(ReadError::Closed) => return Err(TailError::Closed),
                Err(error) => {
                    tracing::error!(%error, "signals that wait cannot be found; it is tried again");
                    self.rest();
                    return Ok(());
                }
            };
            for (stream, head) in &page {
                if head.note.busy {
                    self.look(&stream.id, false).await?;
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
                _last_page => break,
            }
        }
        self.attends = false;
        Ok(())
    }

    /// What could not be done is tried again in a while.
    fn rest(&mut self) {
        self.offer_at.get_or_insert(self.shared.steady().plus(FAILED_AGAIN));
    }

    async fn open(&mut self, name: &str) -> Result<&mut Busy, TailError> {
        if !self.sources.contains_key(name) {
            let idle = |busy: &Busy| !busy.is_worked_on && !busy.source.state.is_busy();
            if self.sources.len() >= IDLE_MAX {
                self.sources.retain(|_, busy| !idle(busy));
            }
            let source = Source::load(&self.shared, name).await?;
            let busy = Busy {
                source,
                is_worked_on: false,
                rests_until: None,
                handles: false,
                is_stale: false,
                awaited: HashMap::new(),
                offers: false,
            };
            self.sources.insert(name.to_owned(), busy);
        }
        let busy = self.sources.get_mut(name).ok_or(TailError::Changed)?;
        if busy.is_stale {
            busy.source = Source::load(&self.shared, name).await?;
            busy.is_stale = false;
        }
        Ok(busy)
    }

    /// Records what is decided on a source's state.
    async fn record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&Source, Timestamp) -> Option<HookEvent>,
    ) -> Result<Option<(Version, Position)>, TailError> {
        let recorded = self.try_to_record(name, by, decide).await;
        if recorded.is_err()
            && let Some(busy) = self.sources.get_mut(name)
        {
            // It may be kept all the same, and be something to do.
            busy.is_stale = true;
            *self.unread.entry(name.to_owned()).or_default() |= busy.handles;
            self.rest();
        }
        recorded
    }

    /// Decides again where the state was an old one.
    async fn try_to_record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&Source, Timestamp) -> Option<HookEvent>,
    ) -> Result<Option<(Version, Position)>, TailError> {
        let mut tries = 0;
        loop {
            let shared = Arc::clone(&self.shared);
            let busy = self.open(name).await?;
            // What somebody brings here is handled here, also where it was kept before.
            busy.handles |= by.actor != Actor::Engine;
            let at = busy.source.now(&shared);
            let Some(event) = decide(&busy.source, at) else { return Ok(None) };
            match busy.source.record(&shared, by, at, &event).await {
                Ok(position) => return Ok(Some((busy.source.tail.version, position))),
                Err(TailError::Changed) if tries < TRIES => {
                    tries += 1;
                    busy.source = Source::load(&shared, name).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn deliver(
        &mut self,
        name: &str,
        delivery: DeliveryReceived,
        answer: Answer,
    ) -> Result<(), TailError> {
        let by = By::from(Actor::Hook(name.to_owned()));
        let recorded =
            self.record(name, &by, |source, at| source.state.receive(delivery.clone(), at).ok()).await;
        let shared = Arc::clone(&self.shared);
        let (receipt, is_new) = match recorded {
            Ok(Some((version, position))) => ((version, 1, position), true),
            Ok(None) => {
                let busy = self.open(name).await?;
                let at = busy.source.now(&shared);
                let Some((version, entry)) = busy.source.state.find(&delivery.id, at) else {
                    let _gone = answer.send(Err(HookError::NotFound(delivery.id)));
                    return Ok(());
                };
                ((version, entry.wanted, Position::ZERO), false)
            }
            Err(error) => return refuse(answer, error),
        };
        let (delivery, nth, position) = receipt;
        self.promise(name, delivery, nth, position, !is_new, answer).await
    }

    async fn redeliver(
        &mut self,
        name: &str,
        delivery: Version,
        handled: u32,
        by: &By,
        answer: Answer,
    ) -> Result<(), TailError> {
        match Tail::first(&self.shared, by).await {
            Err(error) => return refuse(answer, error),
            Ok(None) => {}
            Ok(Some(None)) => {
                let _gone = answer.send(Err(HookError::KeyReused));
                return Ok(());
            }
            Ok(Some(Some(position))) => {
                // It was asked for by the same order already.
                let wanted = self.open(name).await?.source.state.entry(delivery).map(|entry| entry.wanted);
                return self.promise(name, delivery, wanted.unwrap_or(handled), position, true, answer).await;
            }
        }
        let decide = |source: &Source, _| source.state.redeliver(delivery, handled);
        match self.record(name, by, decide).await {
            Err(error) => refuse(answer, error),
            Ok(None) => {
                let _gone = answer.send(Err(HookError::BeingHandled));
                Ok(())
            }
            Ok(Some((_, position))) => {
                let nth = self.open(name).await?.source.state.unhandled().get(&delivery).copied();
                self.promise(name, delivery, nth.unwrap_or(1), position, false, answer).await
            }
        }
    }

    /// Answers that a delivery is durable, and remembers who waits for what it leads to.
    async fn promise(
        &mut self,
        name: &str,
        delivery: Version,
        nth: u32,
        position: Position,
        repeated: bool,
        answer: Answer,
    ) -> Result<(), TailError> {
        let shared = Arc::clone(&self.shared);
        let busy = self.open(name).await?;
        busy.handles = true;
        let (sender, outcome) = oneshot::channel();
        let mut position = position;
        if busy.source.state.unhandled().contains_key(&delivery) {
            busy.awaited.entry((delivery, nth)).or_default().push(sender);
        } else if let Ok(Some(first)) = super::list::one(&shared, name, delivery).await {
            // It was handled: the first outcome is the answer.
            position = first.position;
            let _gone = sender.send(first.outcomes());
        }
        let _gone = answer.send(Ok(Receipt { delivery, nth, position, repeated, outcome }));
        Ok(())
    }

    /// Something was done.
    async fn worked(&mut self, worked: Worked) -> Result<(), TailError> {
        let Worked { source: name, result } = worked;
        if let Some(busy) = self.sources.get_mut(&name) {
            busy.is_worked_on = false;
        }
        let outcome = match result {
            Err(Stopped) => {
                let until = self.shared.steady().plus(FAILED_AGAIN);
                if let Some(busy) = self.sources.get_mut(&name) {
                    busy.rests_until = Some(until);
                }
                self.offer_at.get_or_insert(until);
                return Ok(());
            }
            Ok(outcome) => outcome,
        };
        match outcome {
            Outcomes::Handled(delivery, nth, (outcomes, parked)) => {
                if !parked.is_empty() {
                    self.follow();
                }
                let decide = |source: &Source, _| {
                    source.state.handled(delivery, nth, outcomes.clone(), parked.clone())
                };
                self.record(&name, &Actor::Engine.into(), decide).await?;
                if let Some(busy) = self.sources.get_mut(&name) {
                    // A run that began while it was being parked is seen now.
                    busy.offers |= !parked.is_empty();
                    for waiting in busy.awaited.remove(&(delivery, nth)).into_iter().flatten() {
                        let _gone = waiting.send(outcomes.clone());
                    }
                }
            }
            Outcomes::Offered(settled) => {
                for (id, outcome) in settled {
                    let decide = |source: &Source, _| source.state.settled(id, outcome.clone());
                    self.record(&name, &Actor::Engine.into(), decide).await?;
                }
                if self.sources.values().all(|busy| busy.source.state.parked().is_empty()) {
                    self.changes = None;
                    if self.unread.is_empty() && !self.attends {
                        self.offer_at = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows what happens to runs from here on.
    fn follow(&mut self) {
        if self.changes.is_none() {
            let from = self.shared.store.last_position().next();
            self.changes = Some(self.shared.store.subscribe(from));
        }
    }

    /// Begins what is to be done next, for every source that nothing is done for.
    fn go_on(&mut self) {
        if self.shared.is_stopping() {
            return;
        }
        if self.sources.values().any(|busy| !busy.source.state.parked().is_empty()) {
            self.follow();
        }
        let now = self.shared.steady();
        for (name, busy) in &mut self.sources {
            if busy.is_worked_on || busy.rests_until.is_some_and(|until| until > now) {
                continue;
            }
            let (shared, source, state) = (Arc::clone(&self.shared), name.clone(), &busy.source.state);
            let unhandled = state.unhandled().first_key_value().filter(|_| busy.handles);
            if let Some((delivery, nth)) = unhandled.map(|(at, nth)| (*at, *nth)) {
                busy.is_worked_on = true;
                let meant = state.meant_for(delivery);
                self.works.spawn(async move {
                    let work = Work { source: source.clone(), delivery, nth, meant };
                    let handled = guarded(&work.source, handle(&shared, &work)).await;
                    Worked { source, result: handled.map(|done| Outcomes::Handled(delivery, nth, done)) }
                });
            } else if std::mem::take(&mut busy.offers) && !state.parked().is_empty() {
                busy.is_worked_on = true;
                let parked = state.parked().iter().map(|(id, parked)| {
                    let by = MeantBy::Parked { handled: id.0, at: id.1 };
                    (*id, parked.clone(), state.meant(&by).cloned())
                });
                let parked = parked.collect();
                self.works.spawn(async move {
                    let offered = guarded(&source, offer(&shared, &source, parked)).await;
                    Worked { source, result: offered.map(Outcomes::Offered) }
                });
            }
        }
    }
}

/// A panic in one piece of work leaves it to be tried again, and touches no other.
async fn guarded<T>(source: &str, work: impl Future<Output = Result<T, Stopped>>) -> Result<T, Stopped> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_panic| {
        tracing::error!(source, "handling a delivery ended in a panic; it is tried again");
        Err(Stopped)
    })
}

/// Tells the one who brought something that it was not taken. An error ends the desk.
fn refuse(answer: Answer, error: TailError) -> Result<(), TailError> {
    let told = match &error {
        TailError::Closed => HookError::ShuttingDown,
        other => HookError::Store(other.to_string()),
    };
    let _gone = answer.send(Err(told));
    match error {
        TailError::Closed => Err(error),
        TailError::Changed | TailError::Store(_) => Ok(()),
    }
}

/// Whether keys or labels have changed.
async fn next_change(changes: &mut Option<Box<dyn Subscription>>) -> Result<bool, ReadError> {
    match changes {
        None => std::future::pending().await,
        Some(changes) => {
            let events = changes.next().await?;
            Ok(events.iter().any(|event| changes_addresses(event)))
        }
    }
}

/// Whether a key has another holder, or a run other labels, after this.
fn changes_addresses(event: &Envelope) -> bool {
    match event.header.stream.kind {
        StreamKind::Key => true,
        StreamKind::Run => matches!(
            RunEvent::name_of(event.header.kind),
            Some("RunStarted" | "RunForked" | "StepSucceeded" | "AttemptSucceeded")
        ),
        StreamKind::Schedule | StreamKind::Hook | StreamKind::Engine | StreamKind::Budget => false,
    }
}
