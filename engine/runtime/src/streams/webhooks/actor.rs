//! The webhook actor: its state, and how it handles requests, timers and changes of the log.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::retry::FAILED_AGAIN;
use crate::runtime::Runtime;
use crate::stream_listing::StreamListing;
use crate::streams::actor::{ActorInbox, Incoming, StreamActor};
use crate::streams::stream_writer::StreamError;
use crate::streams::triggers::by::By;
use crate::streams::webhooks::active_source::{ActiveSource, FinishedWork, SourceActivity};
use crate::streams::webhooks::mailbox::WebhookRequest;
use crate::streams::webhooks::source_stream::SourceStream;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::RunEvent;
use everfold_core::hooks::{HookEvent, KEPT, Parked, SignalMeant};
use everfold_store::{ReadError, Subscription};

/// Sources that stay in memory though nothing is to be done for them.
const IDLE_MAX: usize = 64;
/// How often a source whose stream changed meanwhile is loaded anew and decided on again.
const TRIES: u32 = 5;
/// The pause between two offers of the signals that wait.
const OFFER_EVERY: Duration = Duration::from_millis(250);
/// The webhook actor.
pub(crate) struct WebhookActor {
    pub(super) shared: Arc<Runtime>,
    pub(super) inbox: ActorInbox<WebhookRequest, FinishedWork>,
    pub(super) sources: HashMap<String, ActiveSource>,
    /// The log, followed while signals wait for a run.
    pub(super) changes: Option<Box<dyn Subscription>>,
    /// When signals that wait are offered again, and failures tried again.
    pub(super) offer_at: Option<Timestamp>,
    /// Sources with something to do that could not be read; whether their deliveries are to be handled, too.
    pub(super) unread: BTreeMap<String, bool>,
    /// The sources in which signals wait are still to be found.
    pub(super) attends: bool,
}

/// What the actor handles.
pub(crate) enum WebhookActorEvent {
    Incoming(Incoming<WebhookRequest, FinishedWork>),
    OfferDue,
    /// The log went on; whether a run may be found now that was not found before.
    Changes(Result<bool, ReadError>),
}

impl StreamActor for WebhookActor {
    type Event = WebhookActorEvent;

    async fn next(&mut self) -> WebhookActorEvent {
        let offer_in = self.offer_at.map(|at| at.since(self.shared.steady()));
        let offer_due = async move {
            match offer_in {
                Some(span) => tokio::time::sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            incoming = self.inbox.next() => WebhookActorEvent::Incoming(incoming),
            () = offer_due => WebhookActorEvent::OfferDue,
            changes = next_changes(&mut self.changes) => WebhookActorEvent::Changes(changes),
        }
    }

    async fn handle(&mut self, event: WebhookActorEvent) -> Result<(), StreamError> {
        match event {
            WebhookActorEvent::Incoming(Incoming::Ended(work)) => self.finished(work).await?,
            WebhookActorEvent::Incoming(Incoming::Request(request)) => self.answer(request).await?,
            WebhookActorEvent::OfferDue => {
                self.offer_at = None;
                self.sources.values_mut().for_each(|active| active.offers = true);
                self.look_again().await?;
            }
            WebhookActorEvent::Changes(Ok(true)) if self.offer_at.is_none() => {
                self.offer_at = Some(self.shared.steady().plus(OFFER_EVERY));
            }
            WebhookActorEvent::Changes(Ok(_)) => {}
            WebhookActorEvent::Changes(Err(ReadError::Closed)) => return Err(StreamError::Closed),
            // The log is followed from its end on; the offer of all signals that wait covers what came before.
            WebhookActorEvent::Changes(Err(_unreadable)) => {
                self.changes = None;
                self.try_later();
            }
        }
        self.begin_work();
        Ok(())
    }

    fn failed(&mut self, error: &StreamError, _retry: Option<WebhookActorEvent>) -> ControlFlow<()> {
        if !self.shared.is_stopping() {
            tracing::error!(%error, "a source of webhooks cannot be kept; it is tried again");
        }
        // The sources are loaded anew: their states may not be what is stored.
        let undone =
            self.sources.iter().filter(|(_, active)| !active.is_working() && active.source.state.is_busy());
        self.unread.extend(undone.map(|(name, active)| (name.clone(), active.handles)));
        self.sources.retain(|_, active| active.is_working());
        self.try_later();
        self.begin_work();
        ControlFlow::Continue(())
    }
}

impl WebhookActor {
    /// The webhook actor of an engine; `None`: the engine has one already.
    pub(crate) fn new(shared: Arc<Runtime>) -> Option<Self> {
        let inbox = ActorInbox::of(&shared.mailboxes.webhooks.requests)?;
        Some(Self {
            shared,
            inbox,
            sources: HashMap::new(),
            changes: None,
            offer_at: None,
            unread: BTreeMap::new(),
            attends: false,
        })
    }

    async fn answer(&mut self, request: WebhookRequest) -> Result<(), StreamError> {
        match request {
            WebhookRequest::Deliver { source, delivery, by, answer } => {
                self.deliver(&source, *delivery, by, answer).await
            }
            WebhookRequest::Redeliver { source, delivery, nth, by, answer } => {
                self.redeliver(&source, delivery, nth, &by, answer).await
            }
            WebhookRequest::RecordTargets { source, by, runs, answer } => {
                let event = HookEvent::SignalMeant(SignalMeant { by, runs });
                self.record(&source, &Actor::Engine.into(), |_, _| Some(event.clone())).await?;
                let _gone = answer.send(());
                Ok(())
            }
            WebhookRequest::Look(streams) => {
                for stream in streams {
                    self.look(&stream.id, true).await?;
                }
                Ok(())
            }
            WebhookRequest::Attend => {
                self.attends = true;
                self.attend().await
            }
            WebhookRequest::Tick => {
                self.tick();
                Ok(())
            }
        }
    }

    /// Time has passed: signals that waited for too long are offered a last time, and failed sources worked on again.
    fn tick(&mut self) {
        let now = self.shared.steady();
        for active in self.sources.values_mut() {
            let shared = &self.shared;
            let is_old = |parked: &Parked| shared.now().since(parked.since) >= KEPT;
            active.offers |= active.source.state.parked().values().any(is_old);
            active.offers |= active.offers_starts() && active.starts.is_due(now);
            active.offers |= self.changes.is_none() && !active.source.state.parked().is_empty();
            if matches!(active.activity, SourceActivity::Resting(until) if until <= now) {
                active.activity = SourceActivity::Idle;
            }
        }
    }

    /// Goes on with a source; one that cannot be read is looked at again. `handles`: also with its deliveries.
    async fn look(&mut self, name: &str, handles: bool) -> Result<(), StreamError> {
        match self.open(name).await {
            Err(StreamError::Closed) => Err(StreamError::Closed),
            Err(error) => {
                tracing::error!(%error, "a source cannot be gone on with; it is tried again");
                *self.unread.entry(name.to_owned()).or_default() |= handles;
                self.try_later();
                Ok(())
            }
            Ok(active) => {
                active.offers = true;
                active.handles |= handles;
                Ok(())
            }
        }
    }

    /// Looks at the sources that could not be read.
    async fn look_again(&mut self) -> Result<(), StreamError> {
        for (name, handles) in std::mem::take(&mut self.unread) {
            self.look(&name, handles).await?;
        }
        if self.attends { self.attend().await } else { Ok(()) }
    }

    /// Finds the sources in which signals wait.
    async fn attend(&mut self) -> Result<(), StreamError> {
        let shared = Arc::clone(&self.shared);
        let mut listing = StreamListing::new(shared.store.as_ref(), StreamKind::Hook);
        loop {
            let page = match listing.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(ReadError::Closed) => return Err(StreamError::Closed),
                Err(error) => {
                    tracing::error!(%error, "signals that wait cannot be found; it is tried again");
                    self.try_later();
                    return Ok(());
                }
            };
            for (stream, head) in &page {
                if head.note.busy {
                    self.look(&stream.id, false).await?;
                }
            }
        }
        self.attends = false;
        Ok(())
    }

    /// What failed is tried again in a while.
    pub(super) fn try_later(&mut self) {
        self.offer_at.get_or_insert(self.shared.steady().plus(FAILED_AGAIN));
    }

    /// A source, loaded where it is not in memory or its last append is in doubt.
    pub(super) async fn open(&mut self, name: &str) -> Result<&mut ActiveSource, StreamError> {
        if !self.sources.contains_key(name) {
            let idle = |active: &ActiveSource| !active.is_working() && !active.source.state.is_busy();
            if self.sources.len() >= IDLE_MAX {
                self.sources.retain(|_, active| !idle(active));
            }
            let source = SourceStream::load(&self.shared, name).await?;
            self.sources.insert(name.to_owned(), ActiveSource::new(source));
        }
        let active = self.sources.get_mut(name).ok_or(StreamError::Changed)?;
        if active.is_stale {
            active.source = SourceStream::load(&self.shared, name).await?;
            active.is_stale = false;
        }
        Ok(active)
    }

    /// Records what is decided on a source's state.
    pub(super) async fn record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&SourceStream, Timestamp) -> Option<HookEvent>,
    ) -> Result<Option<(Version, Position)>, StreamError> {
        let recorded = self.try_to_record(name, by, decide).await;
        if recorded.is_err()
            && let Some(active) = self.sources.get_mut(name)
        {
            // The event may be durable all the same, and leave something to do.
            active.is_stale = true;
            *self.unread.entry(name.to_owned()).or_default() |= active.handles;
            self.try_later();
        }
        recorded
    }

    /// Decides again where the stream changed meanwhile.
    async fn try_to_record(
        &mut self,
        name: &str,
        by: &By,
        decide: impl Fn(&SourceStream, Timestamp) -> Option<HookEvent>,
    ) -> Result<Option<(Version, Position)>, StreamError> {
        let mut tries = 0;
        loop {
            let shared = Arc::clone(&self.shared);
            let active = self.open(name).await?;
            // This engine handles what is delivered to it, also what was delivered to this source before.
            active.handles |= by.actor != Actor::Engine;
            let at = active.source.now(&shared);
            let Some(event) = decide(&active.source, at) else { return Ok(None) };
            match active.source.record(&shared, by, at, &event).await {
                Ok(position) => return Ok(Some((active.source.version(), position))),
                Err(StreamError::Changed) if tries < TRIES => {
                    tries += 1;
                    active.source = SourceStream::load(&shared, name).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The next events of the log; whether one of them changes keys or labels.
async fn next_changes(changes: &mut Option<Box<dyn Subscription>>) -> Result<bool, ReadError> {
    match changes {
        None => std::future::pending().await,
        Some(changes) => {
            let events = changes.next().await?;
            Ok(events.iter().any(|event| changes_addresses(event)))
        }
    }
}

/// Whether a key has another holder, or a run other labels, after this event.
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
