//! What a delivery leads to, and what a signal that waited does.

use std::sync::Arc;

use super::super::shared::Shared;
use super::super::triggers::{Done, Errand, Mean, Stopped, act, started_before, tell_all};
use super::source::decoded;
use super::{Ask, HookError};
use crate::actor::Actor;
use crate::envelope::Envelope;
use crate::hooks::{
    DeliveryReceived, HookEvent, KEPT, MeantBy, Parked, ParkedId, ParkedSignal, TriggerOutcome, stream,
};
use crate::id::{RunId, Version};
use crate::json::{Hash, JsonText};
use crate::text::is_direction;
use crate::triggers::{Outcome, WishedSignal, wish};
use futures::FutureExt as _;
use tokio::sync::oneshot;

/// What is to be handled.
pub(super) struct Work {
    pub(super) source: String,
    pub(super) delivery: Version,
    pub(super) nth: u32,
    /// Who was about to be told when an engine ended.
    pub(super) meant: Vec<(MeantBy, Vec<RunId>)>,
}

/// What a delivery led to.
pub(super) type Handled = (Vec<TriggerOutcome>, Vec<ParkedSignal>);

/// A delivery as it was received, with what ids derive from.
async fn received(
    shared: &Shared,
    source: &str,
    version: Version,
) -> Result<(DeliveryReceived, Envelope), HookError> {
    let read = shared.store.read(&stream(source), version, 1).await;
    let read = read.map_err(|error| HookError::Store(error.to_string()))?;
    let envelope = read.into_iter().next().ok_or_else(|| HookError::NotFound(version.to_string()))?;
    match decoded(&envelope).map_err(HookError::Store)? {
        HookEvent::DeliveryReceived(event) => Ok((event, envelope)),
        other => Err(HookError::Store(format!("version {version} of {source} is {}", other.name()))),
    }
}

/// What makes one handling of a delivery one of its kind, in whichever store.
fn about(source: &str, delivery: Version, hash: Hash, nth: u32) -> String {
    format!("hook/{source}/{delivery}/{hash}/{nth}")
}

/// What the runs that are told call the delivery.
fn called(source: &str, id: &str, nth: u32) -> String {
    match nth {
        0 | 1 => format!("{source}/{id}"),
        again => format!("{source}/{id}/{again}"),
    }
}

/// Who is behind a delivery: its source and, where the source says so, its sender.
fn actor(source: &str, event: &DeliveryReceived) -> Actor {
    const SENDER_CHARS_MAX: usize = 100;
    let sender = event
        .sender
        .iter()
        .flat_map(|sender| sender.chars())
        .filter(|c| !c.is_control() && !is_direction(*c));
    let sender: String = sender.take(SENDER_CHARS_MAX).collect();
    match sender.trim() {
        "" => Actor::Hook(source.to_owned()),
        sender => Actor::Hook(format!("{source}/{sender}")),
    }
}

/// Records at the desk who is about to be told.
fn mean(shared: &Arc<Shared>, source: &str, by: MeantBy) -> Mean {
    let (shared, source) = (Arc::clone(shared), source.to_owned());
    Box::new(move |runs| {
        async move {
            let (answer, recorded) = oneshot::channel();
            let ask = Ask::Mean { source, by, runs, answer };
            shared.hooks.asks.send(ask).await.map_err(|_| Stopped)?;
            recorded.await.map_err(|_| Stopped)
        }
        .boxed()
    })
}

/// Has every trigger that names the source do what it wants.
pub(super) async fn handle(shared: &Arc<Shared>, work: &Work) -> Result<Handled, Stopped> {
    let (source, nth) = (work.source.as_str(), work.nth);
    let unreadable = |what: String| {
        tracing::error!(source, delivery = work.delivery.get(), what, "a delivery cannot be handled");
        Stopped
    };
    let (event, envelope) =
        received(shared, source, work.delivery).await.map_err(|error| unreadable(error.to_string()))?;
    let triggers = shared.triggers.read(shared).await.map_err(|error| unreadable(error.to_string()))?;
    let occasion = event.occasion(source, envelope.header.recorded_at);
    let about = about(source, work.delivery, envelope.hash, nth);
    let (mut outcomes, mut parked) = (Vec::new(), Vec::new());
    for listed in triggers.of_hook(source) {
        let trigger = u32::try_from(listed.index).unwrap_or(u32::MAX);
        let pipeline = listed.pipeline.to_owned();
        let about = format!("{about}/{pipeline}/{trigger}");
        let (delivery, actor) = (called(source, &event.id, nth), actor(source, &event));
        // Its run may have begun right before an engine ended, and its trigger be another one since.
        let outcome = if let Some(run) = started_before(shared, &about, &delivery, &actor).await? {
            Outcome::Started { run }
        } else {
            match wish(listed.trigger, &occasion) {
                Err(error) => Outcome::Refused { code: "expression".to_owned(), message: error.to_string() },
                Ok(None) => Outcome::Ignored { why: "its `when` does not hold".to_owned() },
                Ok(Some(wish)) => {
                    let by = MeantBy::Trigger {
                        delivery: work.delivery,
                        nth,
                        pipeline: pipeline.clone(),
                        trigger,
                    };
                    let meant =
                        work.meant.iter().find(|(meant, _)| *meant == by).map(|(_, runs)| runs.clone());
                    let errand = Errand {
                        definition: Arc::clone(listed.definition),
                        wish,
                        event: occasion.event.clone(),
                        about,
                        delivery,
                        actor,
                        meant,
                        mean: mean(shared, source, by),
                    };
                    match act(shared, errand).await? {
                        Done::Led(outcome) => outcome,
                        Done::Nobody { signal, to } if signal.park => {
                            let is_event = signal.payload == occasion.event;
                            parked.push(ParkedSignal {
                                pipeline: pipeline.clone(),
                                trigger,
                                signal: signal.name.clone(),
                                to: to.clone(),
                                payload: (!is_event).then(|| JsonText::new(&signal.payload)),
                            });
                            Outcome::Parked { signal: signal.name, to }
                        }
                        Done::Nobody { to, .. } => {
                            Outcome::Ignored { why: format!("nobody hears it: no unended run has {to}") }
                        }
                    }
                }
            }
        };
        outcomes.push(TriggerOutcome { pipeline, trigger, outcome });
    }
    Ok((outcomes, parked))
}

/// Offers the signals that wait once more; gives what is over. `meant`: who was about to be told.
pub(super) async fn offer(
    shared: &Arc<Shared>,
    source: &str,
    parked: Vec<(ParkedId, Parked, Option<Vec<RunId>>)>,
) -> Result<Vec<(ParkedId, Outcome)>, Stopped> {
    let mut settled = Vec::new();
    for (id, parked, meant) in parked {
        let by = MeantBy::Parked { handled: id.0, at: id.1 };
        match offer_one(shared, source, id, &parked, meant, mean(shared, source, by)).await? {
            Some(outcome) => settled.push((id, outcome)),
            None if shared.now().since(parked.since) >= KEPT => {
                let why = format!("nobody heard it within 7 days: no unended run had {}", parked.to);
                settled.push((id, Outcome::Ignored { why }));
            }
            None => {}
        }
    }
    Ok(settled)
}

async fn offer_one(
    shared: &Arc<Shared>,
    source: &str,
    (handled, at): ParkedId,
    parked: &Parked,
    meant: Option<Vec<RunId>>,
    mean: Mean,
) -> Result<Option<Outcome>, Stopped> {
    let unreadable = |what: String| {
        tracing::error!(source, version = handled.get(), what, "a signal that waits cannot be read");
        Stopped
    };
    let (event, envelope) =
        received(shared, source, parked.delivery).await.map_err(|error| unreadable(error.to_string()))?;
    let read = shared.store.read(&stream(source), handled, 1).await;
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    let kept = match read.first().map(decoded) {
        Some(Ok(HookEvent::DeliveryHandled(event))) => event.parked.into_iter().nth(at as usize),
        _other => None,
    };
    let kept = kept.ok_or_else(|| unreadable("there is none".to_owned()))?;
    let payload = match kept.payload {
        Some(payload) => payload.value(),
        None => event.occasion(source, envelope.header.recorded_at).event,
    };
    let signal = WishedSignal { name: kept.signal, payload, to: None, park: true };
    let about = about(source, parked.delivery, envelope.hash, parked.nth);
    let about = format!("{about}/{}/{}", kept.pipeline, kept.trigger);
    let delivery = called(source, &event.id, parked.nth);
    let errand = (about, delivery, actor(source, &event));
    tell_all(shared, errand, signal, kept.to, meant, mean).await
}
