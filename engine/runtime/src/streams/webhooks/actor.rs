//! The task of the webhook actor.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::runtime::Runtime;
use crate::streams::stream_tail::{StreamTail, TailError};
use crate::streams::triggers::by::By;
use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::handle::{DeliveryWork, Handled, handle, offer};
use crate::streams::webhooks::mailbox::{Answer, HookRequest};
use crate::streams::webhooks::receipt::Receipt;
use crate::streams::webhooks::source::HookSource;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::RunEvent;
use everfold_core::hooks::{DeliveryReceived, HookEvent, MeantBy, ParkedId, TriggerOutcome};
use everfold_core::triggers::Outcome;
use everfold_store::{ReadError, Subscription};

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

/// The webhook actor: takes deliveries.
pub(crate) struct HookActor {
    shared: Arc<Runtime>,
    asks: Option<mpsc::Receiver<HookRequest>>,
    sources: HashMap<String, ActiveSource>,
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
struct ActiveSource {
    source: HookSource,
    activity: SourceActivity,
    /// Its deliveries are handled here, too; else only what waits is offered.
    handles: bool,
    /// What became of the last append is not known: it is read anew before it is used.
    is_stale: bool,
    /// Who waits for a handling.
    awaited: HashMap<(Version, u32), Vec<oneshot::Sender<Vec<TriggerOutcome>>>>,
    /// What waits is to be offered.
    offers: bool,
}

/// What is being done for a source at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceActivity {
    Idle,
    /// A delivery is being handled, or what waits is being offered.
    Working,
    /// The last work failed: none begins before then.
    Resting(Timestamp),
}

impl ActiveSource {
    fn is_working(&self) -> bool {
        self.activity == SourceActivity::Working
    }
}

/// What came of a piece of work.
struct Worked {
    source: String,
    result: Result<Outcomes, EngineStopped>,
}

/// What was done.
enum Outcomes {
    Handled(Version, u32, Handled),
    Offered(Vec<(ParkedId, Outcome)>),
}

impl HookActor {
    pub(crate) fn new(shared: Arc<Runtime>) -> Self {
        let asks = shared.mailboxes.webhooks.take();
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
    pub(crate) async fn run(mut self) {
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
                    self.sources.values_mut().for_each(|active| active.offers = true);
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
                        .filter(|(_, active)| !active.is_working() && active.source.state.is_busy());
                    self.unread.extend(undone.map(|(name, active)| (name.clone(), active.handles)));
                    self.sources.retain(|_, active| active.is_working());
                    self.rest();
                }
            }
            self.go_on();
        }
    }

    /// An error ends the actor: the store takes nothing more.
    async fn answer(&mut self, ask: HookRequest) -> Result<(), TailError> {
        match ask {
            HookRequest::Deliver { source, delivery, answer } => {
                self.deliver(&source, *delivery, answer).await
            }
            HookRequest::Redeliver { source, delivery, nth, by, answer } => {
                self.redeliver(&source, delivery, nth, &by, answer).await
            }
            HookRequest::RecordTargets { source, by, runs, answer } => {
                let event = HookEvent::SignalMeant(everfold_core::hooks::SignalMeant { by, runs });
                self.record(&source, &Actor::Engine.into(), |_, _| Some(event.clone())).await?;
                let _gone = answer.send(());
                Ok(())
            }
            HookRequest::Look(streams) => {
                for stream in streams {
                    self.look(&stream.id, true).await?;
                }
                Ok(())
            }
            HookRequest::Attend => {
                self.attends = true;
                self.attend().await
            }
            HookRequest::Tick => {
                let now = self.shared.steady();
                for active in self.sources.values_mut() {
                    let shared = &self.shared;
                    let is_old = |parked: &everfold_core::hooks::Parked| {
                        shared.now().since(parked.since) >= everfold_core::hooks::KEPT
                    };
                    active.offers |= active.source.state.parked().values().any(is_old);
                    active.offers |= self.changes.is_none() && !active.source.state.parked().is_empty();
                    if matches!(active.activity, SourceActivity::Resting(until) if until <= now) {
                        active.activity = SourceActivity::Idle;
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
            Ok(active) => {
                active.offers = true;
                active.handles |= handles;
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

    async fn open(&mut self, name: &str) -> Result<&mut ActiveSource, TailError> {
        if !self.sources.contains_key(name) {
            let idle = |active: &ActiveSource| !active.is_working() && !active.source.state.is_busy();
            if self.sources.len() >= IDLE_MAX {
                self.sources.retain(|_, active| !idle(active));
            }
            let source = HookSource::load(&self.shared, name).await?;
            let active = ActiveSource {
                source,
                activity: SourceActivity::Idle,
                handles: false,
                is_stale: false,
                awaited: HashMap::new(),
                offers: false,
            };
            self.sources.insert(name.to_owned(), active);
        }
        let active = self.sources.get_mut(name).ok_or(TailError::Changed)?;
        if active.is_stale {
            active.source = HookSource::load(&self.shared, name).await?;
            active.is_stale = false;
        }
        Ok(active)
    }

    /// Records what is decided on a source's state.
    async fn record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&HookSource, Timestamp) -> Option<HookEvent>,
    ) -> Result<Option<(Version, Position)>, TailError> {
        let recorded = self.try_to_record(name, by, decide).await;
        if recorded.is_err()
            && let Some(active) = self.sources.get_mut(name)
        {
            // It may be kept all the same, and be something to do.
            active.is_stale = true;
            *self.unread.entry(name.to_owned()).or_default() |= active.handles;
            self.rest();
        }
        recorded
    }

    /// Decides again where the state was an old one.
    async fn try_to_record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&HookSource, Timestamp) -> Option<HookEvent>,
    ) -> Result<Option<(Version, Position)>, TailError> {
        let mut tries = 0;
        loop {
            let shared = Arc::clone(&self.shared);
            let active = self.open(name).await?;
            // What is delivered here is handled here, also where it was kept before.
            active.handles |= by.actor != Actor::Engine;
            let at = active.source.now(&shared);
            let Some(event) = decide(&active.source, at) else { return Ok(None) };
            match active.source.record(&shared, by, at, &event).await {
                Ok(position) => return Ok(Some((active.source.tail.version, position))),
                Err(TailError::Changed) if tries < TRIES => {
                    tries += 1;
                    active.source = HookSource::load(&shared, name).await?;
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
                let active = self.open(name).await?;
                let at = active.source.now(&shared);
                let Some((version, entry)) = active.source.state.find(&delivery.id, at) else {
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
        match StreamTail::first(&self.shared, by).await {
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
        let decide = |source: &HookSource, _| source.state.redeliver(delivery, handled);
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
        let active = self.open(name).await?;
        active.handles = true;
        let (sender, outcome) = oneshot::channel();
        let mut position = position;
        if active.source.state.unhandled().contains_key(&delivery) {
            active.awaited.entry((delivery, nth)).or_default().push(sender);
        } else if let Ok(Some(first)) = crate::streams::webhooks::list::one(&shared, name, delivery).await {
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
        if let Some(active) = self.sources.get_mut(&name) {
            active.activity = SourceActivity::Idle;
        }
        let outcome = match result {
            Err(EngineStopped) => {
                let until = self.shared.steady().plus(FAILED_AGAIN);
                if let Some(active) = self.sources.get_mut(&name) {
                    active.activity = SourceActivity::Resting(until);
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
                let decide = |source: &HookSource, _| {
                    source.state.handled(delivery, nth, outcomes.clone(), parked.clone())
                };
                self.record(&name, &Actor::Engine.into(), decide).await?;
                if let Some(active) = self.sources.get_mut(&name) {
                    // A run that began while it was being parked is seen now.
                    active.offers |= !parked.is_empty();
                    for waiting in active.awaited.remove(&(delivery, nth)).into_iter().flatten() {
                        let _gone = waiting.send(outcomes.clone());
                    }
                }
            }
            Outcomes::Offered(settled) => {
                for (id, outcome) in settled {
                    let decide = |source: &HookSource, _| source.state.settled(id, outcome.clone());
                    self.record(&name, &Actor::Engine.into(), decide).await?;
                }
                if self.sources.values().all(|active| active.source.state.parked().is_empty()) {
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
        if self.sources.values().any(|active| !active.source.state.parked().is_empty()) {
            self.follow();
        }
        let now = self.shared.steady();
        for (name, active) in &mut self.sources {
            match active.activity {
                SourceActivity::Working => continue,
                SourceActivity::Resting(until) if until > now => continue,
                SourceActivity::Resting(_) | SourceActivity::Idle => {}
            }
            let (shared, source, state) = (Arc::clone(&self.shared), name.clone(), &active.source.state);
            let unhandled = state.unhandled().first_key_value().filter(|_| active.handles);
            if let Some((delivery, nth)) = unhandled.map(|(at, nth)| (*at, *nth)) {
                active.activity = SourceActivity::Working;
                let recorded_targets = state.meant_for(delivery);
                self.works.spawn(async move {
                    let work = DeliveryWork { source: source.clone(), delivery, nth, recorded_targets };
                    let handled = guarded(&work.source, handle(&shared, &work)).await;
                    Worked { source, result: handled.map(|done| Outcomes::Handled(delivery, nth, done)) }
                });
            } else if std::mem::take(&mut active.offers) && !state.parked().is_empty() {
                active.activity = SourceActivity::Working;
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
async fn guarded<T>(
    source: &str,
    work: impl Future<Output = Result<T, EngineStopped>>,
) -> Result<T, EngineStopped> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_panic| {
        tracing::error!(source, "handling a delivery ended in a panic; it is tried again");
        Err(EngineStopped)
    })
}

/// Answers a delivery that was not taken. An error ends the actor.
fn refuse(answer: Answer, error: TailError) -> Result<(), TailError> {
    let refusal = match &error {
        TailError::Closed => HookError::ShuttingDown,
        other => HookError::Store(other.to_string()),
    };
    let _gone = answer.send(Err(refusal));
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
