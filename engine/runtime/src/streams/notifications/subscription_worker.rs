//! One subscription: follows the log from its recorded position, and sends notices.
//!
//! Law: what came of a notice is recorded before the next event is looked at.

use std::sync::Arc;

use serde_json::json;

use crate::aggregate_store::AggregateError;
use crate::load::decode;
use crate::runtime::Runtime;
use crate::streams::notifications::delivery;
use crate::streams::notifications::delivery::{DeliveryOutcome, FailedTry, pause};
use crate::streams::notifications::registry::SubscriptionStand;
use crate::streams::notifications::subscription::{EventSeen, NoticeSubscription};
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId, flag};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::RunEvent;
use everfold_core::notifications::{
    GivenUp, MESSAGE_BYTES_MAX, NoticeDelivered, NoticeEvent, NoticeId, Notices, Place,
};
use everfold_core::state::RunStatus;
use everfold_ports::{FoundRun, NoticeRequest};
use everfold_store::ReadError;

/// Events after which a subscription that sends nothing records its position: at most so many are looked at once more
/// after a crash.
const REACHED_EVERY: u64 = 1_000;

/// Why a subscription cannot go on for a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscriptionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    #[error("{0}")]
    Runs(String),
}

/// Whether the worker goes on.
#[derive(PartialEq, Eq)]
enum NextStep {
    Continue,
    /// The engine ends.
    Stop,
}

/// The task of one subscription.
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

    /// The position that it has reached; a new subscription starts at the end of the log.
    pub(crate) async fn open(&self) -> Result<Position, SubscriptionError> {
        let notifications = &self.shared.notifications;
        if let Some(standing) = notifications.notices.current().await?.standing(&self.subscription.name) {
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
                if let Some((sent, next)) = self.handle_event(&envelope).await? {
                    if next == NextStep::Stop {
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

    /// Sends the notice of an event, if it is for the subscription; `None`: it is not. Gives whether the end of the
    /// sending was recorded.
    async fn handle_event(&self, envelope: &Envelope) -> Result<Option<(bool, NextStep)>, SubscriptionError> {
        let header = &envelope.header;
        let Some(run) = header.stream.as_run() else { return Ok(None) };
        let is_former = header.flags & flag::FORMER != 0;
        let kind = RunEvent::name_of(header.kind).filter(|kind| !is_former && self.subscription.is_for(kind));
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
            Ok(Some(request)) => self.send(&id, request, header.recorded_at).await,
            Err(message) => DeliveryOutcome::GivenUp { tries: 0, message },
        };
        let event = match outcome {
            DeliveryOutcome::Left => return Ok(Some((false, NextStep::Stop))),
            DeliveryOutcome::Sent { tries } => {
                NoticeEvent::Told(NoticeDelivered { id, place: Some(place), tries })
            }
            DeliveryOutcome::GivenUp { tries, message } => given_up(id, Some(place), kind, tries, &message),
        };
        write(&self.shared, event).await?;
        self.shared.notifications.stand(name, |stand| {
            *stand = SubscriptionStand { position: envelope.position, ..Default::default() };
        });
        Ok(Some((true, NextStep::Continue)))
    }

    /// Tries to send a notice, and reports how the tries go.
    async fn send(&self, id: &NoticeId, request: NoticeRequest, since: Timestamp) -> DeliveryOutcome {
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

/// The event that a notice is given up, with its message cut to the limit.
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
    let decide = |_: &Notices, _| Ok::<_, AggregateError>(Some(event));
    shared.notifications.notices.change(Actor::Engine, None, decide).await?;
    Ok(())
}

/// The run as the directory knows it; without a directory, as it was started.
pub(crate) async fn found(shared: &Runtime, run: RunId) -> Result<Option<FoundRun>, SubscriptionError> {
    if let Some(directory) = &shared.edge.directory {
        return directory.run(run).await.map_err(|error| SubscriptionError::Runs(error.to_string()));
    }
    let first = shared.store.read(&StreamId::run(run), Version::FIRST, 1).await?;
    let started = match first.first().map(|first| decode(run, first)) {
        Some(Ok(RunEvent::RunStarted(started))) => started,
        Some(Ok(_)) | None => return Ok(None),
        Some(Err(error)) => {
            tracing::warn!(%run, %error, "no notice is sent of a run whose first event cannot be read");
            return Ok(None);
        }
    };
    Ok(Some(FoundRun {
        run,
        pipeline: started.pipeline,
        title: started.title,
        labels: started.labels,
        status: RunStatus::Running,
        started_at: first.first().map_or(Timestamp(0), |first| first.header.recorded_at),
    }))
}
