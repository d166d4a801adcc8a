//! Undelivered notices that are resent on request: a few at a time, and those of one channel of a run one after the
//! other, in the order of their events.
//!
//! Laws: a notice that pauses between two tries delays none but those behind it in its channel. A notice of a subscription
//! is rendered anew, by the settings as they are now; one of a run has the text that the run recorded. One that a newer one
//! has made moot is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::aggregate_store::AggregateError;
use crate::load::decode;
use crate::retry::FAILED_AGAIN;
use crate::runtime::Runtime;
use crate::streams::notifications::delivery;
use crate::streams::notifications::delivery::{DeliveryOutcome, FailedTry};
use crate::streams::notifications::queued_notice::{queued, superseded_by};
use crate::streams::notifications::registry::{ResendStand, lock};
use crate::streams::notifications::subscription_worker::{SubscriptionError, found, given_up, notice, write};
use crate::work::request;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::failure::bounded_text;
use everfold_base::id::RunId;
use everfold_base::json::Value;
use everfold_core::decide::plan;
use everfold_core::decide::plan::SecretPlan;
use everfold_core::notifications::{
    AGAIN_MAX, Decision, MESSAGE_BYTES_MAX, NoticeDecided, NoticeDelivered, NoticeEvent, NoticeId, Notices,
    UndeliveredNotice,
};
use everfold_language::expr::Loaded;
use everfold_ports::NoticeRequest;
use everfold_store::ReadError;

/// Notices that are sent at once.
const AT_ONCE: usize = 8;

/// The task's whole life.
pub(crate) async fn run(shared: Arc<Runtime>) {
    let mut turns: BTreeMap<NoticeId, ResendTurn> = BTreeMap::new();
    let mut sending: JoinSet<NoticeId> = JoinSet::new();
    let mut ending = shared.notifications.ending.subscribe();
    let mut is_unread = false;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let read = shared.notifications.notices.current().await;
        let was_unread = std::mem::replace(&mut is_unread, read.is_err());
        match read {
            Ok(notices) => {
                let (ready, is_all) = ready(&shared, &notices, &mut turns).await;
                is_unread = !is_all;
                for undelivered in ready {
                    let (shared, places) = (Arc::clone(&shared), Arc::clone(&places));
                    sending.spawn(async move {
                        if let Err(error) = send(&shared, &undelivered, &places).await {
                            tracing::warn!(notice = %undelivered.id, "it was not sent again: {error}");
                            let mut ending = shared.notifications.ending.subscribe();
                            // The store may be back in a moment.
                            let _ended =
                                tokio::time::timeout(FAILED_AGAIN, ending.wait_for(|ending| *ending)).await;
                        }
                        undelivered.id.clone()
                    });
                }
            }
            Err(AggregateError::Read(ReadError::Closed)) => return,
            Err(error) if !was_unread => {
                tracing::warn!(%error, "the notices that are to be sent again cannot be read; it is tried again");
            }
            Err(_logged_before) => {}
        }
        tokio::select! {
            biased;
            Some(sent) = sending.join_next(), if !sending.is_empty() => {
                // These tasks do not panic: a panic of the function that sends is caught.
                if let Ok(id) = sent {
                    turns.remove(&id);
                }
            }
            _ = ending.wait_for(|ending| *ending), if sending.is_empty() => return,
            () = shared.notifications.wanted.notified() => {}
            () = tokio::time::sleep(FAILED_AGAIN), if is_unread => {}
        }
        if shared.notifications.is_ending() {
            while sending.join_next().await.is_some() {}
            return;
        }
    }
}

/// Where a notice stands that is to be sent again.
struct ResendTurn {
    /// The run and the channel in which it waits for those before it; `None`: it waits for no other one.
    channel: Option<(RunId, String)>,
    is_busy: bool,
}

/// The notices that are to be sent now, in the order of their events; they count as busy from then on. False beside them:
/// the history of some cannot be read now, and with it their channel; these wait.
async fn ready(
    shared: &Runtime,
    notices: &Notices,
    turns: &mut BTreeMap<NoticeId, ResendTurn>,
) -> (Vec<Arc<UndeliveredNotice>>, bool) {
    let mut wanted: Vec<_> = notices.undelivered().filter(|notice| notice.again.is_some()).collect();
    wanted.sort_by(|one, other| one.id.cmp(&other.id));
    turns.retain(|id, turn| turn.is_busy || wanted.iter().any(|notice| notice.id == *id));
    let (mut ready, mut is_all) = (Vec::new(), true);
    for notice in wanted.into_iter().take(AGAIN_MAX) {
        if !turns.contains_key(&notice.id) {
            let queued = match notice.id.is_of_subscription() {
                true => Ok(None),
                false => queued(shared, &notice.id).await,
            };
            let Ok(queued) = queued else {
                is_all = false;
                continue;
            };
            let channel = queued.map(|queued| (notice.id.run, queued.channel));
            turns.insert(notice.id.clone(), ResendTurn { channel, is_busy: false });
        }
        let channel = turns.get(&notice.id).and_then(|turn| turn.channel.clone());
        let is_taken =
            channel.is_some() && turns.values().any(|turn| turn.is_busy && turn.channel == channel);
        if let Some(turn) = turns.get_mut(&notice.id).filter(|turn| !turn.is_busy && !is_taken) {
            turn.is_busy = true;
            ready.push(Arc::clone(notice));
        }
    }
    (ready, is_all)
}

async fn send(
    shared: &Runtime,
    undelivered: &UndeliveredNotice,
    places: &Semaphore,
) -> Result<(), SubscriptionError> {
    if superseded_by(shared, &undelivered.id).await?.is_some() {
        let decision = Decision::Drop;
        let dropped = NoticeDecided { id: undelivered.id.clone(), decision };
        return write(shared, NoticeEvent::Decided(dropped)).await;
    }
    let since = undelivered.again.as_ref().map_or(undelivered.at, |again| again.since);
    let outcome = match request_of(shared, undelivered).await? {
        Ok(request) => {
            let failed = |failed: FailedTry<'_>| {
                let stand = ResendStand {
                    tries: undelivered.tries.saturating_add(failed.tries),
                    next: failed.next,
                    message: bounded_text(failed.message.to_owned(), MESSAGE_BYTES_MAX),
                };
                lock(&shared.notifications.resends).insert(undelivered.id.clone(), stand);
            };
            let outcome = delivery::all(shared, request, since, Some(places), failed).await;
            lock(&shared.notifications.resends).remove(&undelivered.id);
            outcome
        }
        Err(message) => DeliveryOutcome::GivenUp { tries: 0, message },
    };
    let id = undelivered.id.clone();
    let event = match outcome {
        DeliveryOutcome::Left => return Ok(()),
        DeliveryOutcome::Sent { tries } => NoticeEvent::Told(NoticeDelivered { id, place: None, tries }),
        DeliveryOutcome::GivenUp { tries, message } => {
            given_up(id, None, &undelivered.event, undelivered.tries.saturating_add(tries), &message)
        }
    };
    write(shared, event).await
}

/// What is to be sent; an inner error says why there is nothing to send any more.
async fn request_of(
    shared: &Runtime,
    undelivered: &UndeliveredNotice,
) -> Result<Result<NoticeRequest, String>, SubscriptionError> {
    let id = &undelivered.id;
    let stream = StreamId::run(id.run);
    let events = shared.store.read(&stream, id.version, 1).await?;
    let Some(envelope) = events.first() else {
        return Ok(Err(format!("event {} of run {} is not there any more", id.version, id.run.short())));
    };
    let Some(name) = id.subscription() else { return of_run(shared, id, envelope).await };
    let Some(subscription) = shared.notifications.subscription(name) else {
        return Ok(Err(format!("the settings have no subscription {name} any more")));
    };
    let Some(run) = found(shared, id.run).await? else {
        return Ok(Err(format!("the run {} is not there any more", id.run.short())));
    };
    Ok(match notice(&subscription, envelope, id.run, run) {
        Ok(Some(request)) => Ok(request),
        Ok(None) => Err(format!("the subscription {name} is not for this event any more")),
        Err(message) => Err(message),
    })
}

/// The notice that a run gave up, as it was queued.
async fn of_run(
    shared: &Runtime,
    id: &NoticeId,
    envelope: &Envelope,
) -> Result<Result<NoticeRequest, String>, SubscriptionError> {
    let Some(queued) = queued(shared, id).await? else {
        return Ok(Err("the notice was never rendered: there is nothing to send".to_owned()));
    };
    let text = match shared.values.text(id.run, &queued.with).await {
        Ok(text) => text,
        Err(message) => return Ok(Err(message)),
    };
    let mut rendered = text.value();
    let spec = plan::take_hidden(&mut rendered);
    let folded = match shared.loader().fold(id.run, None).await {
        Ok(folded) => folded,
        Err(error) if error.is_passing() => return Err(SubscriptionError::Runs(error.to_string())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let sender = rendered["as"].as_str().map(ToOwned::to_owned);
    let plan = SecretPlan { spec, role: sender.clone(), ..SecretPlan::default() };
    let secrets = request::secrets(&folded.state, plan);
    let none = Loaded::default();
    let of_run = plan::of_run(&folded.state, &none);
    let mut event = match decode(id.run, envelope).map(|event| serde_json::to_value(&event)) {
        Ok(Ok(event)) => event,
        _unreadable => Value::Null,
    };
    if let Value::Object(fields) = &mut event {
        fields.insert("version".to_owned(), serde_json::json!(id.version));
        fields.insert("at".to_owned(), serde_json::json!(envelope.header.recorded_at));
        fields.insert("actor".to_owned(), serde_json::json!(envelope.header.actor));
    }
    Ok(Ok(NoticeRequest {
        run: id.run,
        version: id.version,
        notice: queued.notice,
        function: queued.function,
        with: rendered["with"].take(),
        secrets,
        sender,
        event,
        of_run,
        attempt: 1,
    }))
}
