//! One subscription: follows the log from where it was, and tells.

use std::sync::Arc;

use serde_json::json;

use crate::ledger::LedgerError;
use crate::load::decode;
use crate::runtime::Runtime;
use crate::streams::notifications::delivery;
use crate::streams::notifications::delivery::{DeliveryOutcome, FailedTry, pause};
use crate::streams::notifications::subscription::{EventSeen, NoticeSubscription};
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId, flag};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::RunEvent;
use everfold_core::notifications::{GivenUp, MESSAGE_BYTES_MAX, NoticeEvent, NoticeId, Notices, Place, Told};
use everfold_core::state::RunStatus;
use everfold_ports::{FoundRun, NoticeRequest};
use everfold_store::ReadError;

/// Events that a subscription passes by before it records how far it is: so many are looked at once more after a
/// crash. A subscription that finds nothing in them sends nothing twice.
const REACHED_EVERY: u64 = 1_000;

/// Why a subscription cannot go on for a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscriptionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Runs(String),
}

/// Whether it goes on.
#[derive(PartialEq, Eq)]
enum Goes {
    On,
    /// The engine ends.
    Out,
}

pub(crate) struct SubscriptionWorker {
    shared: Arc<Runtime>,
    subscription: Arc<NoticeSubscription>,
}

impl SubscriptionWorker {
    pub(crate) fn new(shared: Arc<Runtime>, subscription: Arc<NoticeSubscription>) -> Self {
        Self { shared, subscription }
    }

    /// The task's whole life: what cannot be read or recorded now is tried again.
    pub(crate) async fn run(self) {
        let mut ending = self.shared.notifications.ending.subscribe();
        let mut failures = 0;
        while let Err(error) = self.follow(&mut failures).await {
            if matches!(error, SubscriptionError::Read(ReadError::Closed))
                || self.shared.notifications.is_ending()
            {
                return;
            }
            failures += 1;
            let name = &self.subscription.name;
            tracing::warn!(subscription = name, "it stands still for a moment: {error}");
            self.shared.notifications.stand(name, |stand| stand.failing = Some(error.to_string()));
            tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending) => return,
                () = tokio::time::sleep(pause(name, failures)) => {}
            }
        }
    }

    /// Where it is; a new one starts from here.
    pub(crate) async fn open(&self) -> Result<Position, SubscriptionError> {
        let notifications = &self.shared.notifications;
        if let Some(standing) = notifications.ledger.current().await?.standing(&self.subscription.name) {
            return Ok(standing.position);
        }
        let position = self.shared.store.last_position();
        self.record(NoticeEvent::Opened, position).await?;
        Ok(position)
    }

    async fn follow(&self, failures: &mut u32) -> Result<(), SubscriptionError> {
        let (shared, name) = (&self.shared, &self.subscription.name);
        let mut ending = shared.notifications.ending.subscribe();
        let mut durable = self.open().await?;
        let mut reached = durable;
        let mut events = shared.store.subscribe(reached.next());
        loop {
            shared.notifications.stand(name, |stand| stand.position = reached);
            let is_at_end = reached >= shared.store.last_position();
            let batch = tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending), if is_at_end => break,
                batch = events.next() => batch?,
            };
            for envelope in batch {
                if let Some((sent, goes)) = self.look(&envelope).await? {
                    if goes == Goes::Out {
                        return Ok(());
                    }
                    if sent {
                        durable = envelope.position;
                    }
                }
                reached = envelope.position;
                *failures = 0;
            }
            if reached.0 - durable.0 >= REACHED_EVERY {
                self.record(NoticeEvent::Reached, reached).await?;
                durable = reached;
            }
        }
        if reached > durable {
            self.record(NoticeEvent::Reached, reached).await?;
        }
        Ok(())
    }

    async fn record(
        &self,
        event: impl FnOnce(Place) -> NoticeEvent,
        position: Position,
    ) -> Result<(), SubscriptionError> {
        let place = Place { subscription: self.subscription.name.clone(), position };
        write(&self.shared, event(place)).await
    }

    /// Tells of one event, if it is for the subscription. Gives whether that was recorded.
    async fn look(&self, envelope: &Envelope) -> Result<Option<(bool, Goes)>, SubscriptionError> {
        let header = &envelope.header;
        let Some(run) = header.stream.as_run() else { return Ok(None) };
        let is_copied = header.flags & flag::COPIED != 0;
        let kind = RunEvent::name_of(header.kind).filter(|kind| !is_copied && self.subscription.is_for(kind));
        let Some(kind) = kind else { return Ok(None) };
        let Some(of_run) = found(&self.shared, run).await? else { return Ok(None) };
        if !self.subscription.is_for_run(&of_run) {
            return Ok(None);
        }
        let name = &self.subscription.name;
        let id = NoticeId {
            run,
            version: header.version,
            notice: format!("{}{name}", everfold_core::notifications::SUBSCRIPTION),
        };
        let place = Place { subscription: name.clone(), position: envelope.position };
        let outcome = match notice(&self.subscription, envelope, run, of_run) {
            Ok(None) => return Ok(None),
            Ok(Some(request)) => self.tell(&id, request, header.recorded_at).await,
            Err(message) => DeliveryOutcome::GivenUp { tries: 0, message },
        };
        let event = match outcome {
            DeliveryOutcome::Left => return Ok(Some((false, Goes::Out))),
            DeliveryOutcome::Told { tries } => NoticeEvent::Told(Told { id, place: Some(place), tries }),
            DeliveryOutcome::GivenUp { tries, message } => given_up(id, Some(place), kind, tries, &message),
        };
        write(&self.shared, event).await?;
        self.shared.notifications.stand(name, |stand| {
            *stand = crate::streams::notifications::registry::SubscriptionStand {
                position: envelope.position,
                ..Default::default()
            };
        });
        Ok(Some((true, Goes::On)))
    }

    async fn tell(&self, id: &NoticeId, request: NoticeRequest, since: Timestamp) -> DeliveryOutcome {
        let (notifications, name) = (&self.shared.notifications, &self.subscription.name);
        notifications.stand(name, |stand| stand.telling = Some(id.to_string()));
        let failed = |failed: FailedTry<'_>| {
            notifications.stand(name, |stand| {
                stand.tries = failed.tries;
                stand.next = Some(failed.next);
                stand.failing = Some(failed.message.to_owned());
            });
        };
        delivery::all(&self.shared, request, since, None, failed).await
    }
}

/// The notice of an event; `None` where it is not for the subscription.
pub(crate) fn notice(
    subscription: &NoticeSubscription,
    envelope: &Envelope,
    run: RunId,
    of_run: FoundRun,
) -> Result<Option<NoticeRequest>, String> {
    let header = &envelope.header;
    let event = decode(run, envelope).map_err(|error| error.to_string())?;
    let mut event = serde_json::to_value(&event).map_err(|error| error.to_string())?;
    event["version"] = json!(header.version);
    event["at"] = json!(header.recorded_at);
    event["actor"] = json!(header.actor);
    let seen = EventSeen { run, version: header.version, event, actor: header.actor.to_string(), of_run };
    subscription.request(&seen).map_err(|error| error.to_string())
}

pub(crate) fn given_up(
    id: NoticeId,
    place: Option<Place>,
    event: &str,
    tries: u32,
    message: &str,
) -> NoticeEvent {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let (event, message) = (event.to_owned(), message[..end].to_owned());
    NoticeEvent::GivenUp(GivenUp { id, place, event, tries, message })
}

pub(crate) async fn write(shared: &Runtime, event: NoticeEvent) -> Result<(), SubscriptionError> {
    let decide = |_: &Notices, _| Ok::<_, LedgerError>(Some(event));
    shared.notifications.ledger.change(Actor::Engine, None, decide).await?;
    Ok(())
}

/// What is known of a run now; without a directory, what it was started with.
pub(crate) async fn found(shared: &Runtime, run: RunId) -> Result<Option<FoundRun>, SubscriptionError> {
    if let Some(directory) = &shared.edge.directory {
        return directory.run(run).await.map_err(|error| SubscriptionError::Runs(error.to_string()));
    }
    let first = shared.store.read(&StreamId::run(run), Version::FIRST, 1).await?;
    let started = match first.first().map(|first| decode(run, first)) {
        Some(Ok(RunEvent::RunStarted(started))) => started,
        Some(Ok(_)) | None => return Ok(None),
        Some(Err(error)) => {
            tracing::warn!(%run, %error, "nobody is told of a run whose first event cannot be read");
            return Ok(None);
        }
    };
    Ok(Some(FoundRun {
        run,
        pipeline: started.pipeline,
        title: started.title,
        labels: started.labels,
        status: RunStatus::Running,
    }))
}
