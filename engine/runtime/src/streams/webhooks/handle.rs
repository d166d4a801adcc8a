//! What a delivery leads to, and the offer of signals that wait.
//!
//! Law (S9): the runs that get a signal are recorded before it is sent, so handling a delivery once more after a crash
//! sends it to the same runs.

use std::sync::Arc;

use crate::error::SubmitError;
use crate::runtime::Runtime;
use crate::start::initiator::{NoInitiator, no_initiator};
use crate::streams::mailbox::MailboxClosed;
use crate::streams::triggers::action::{RecordTargets, TriggerCall, send_once};
use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::webhooks::ask_trigger::{TriggerAnswer, TriggerQuestion, ask_trigger};
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::mailbox::WebhookRequest;
use crate::streams::webhooks::source_stream::decoded;
use everfold_base::actor::Actor;
use everfold_base::envelope::Envelope;
use everfold_base::id::{RunId, Version};
use everfold_base::json::{Hash, JsonText};
use everfold_base::text::is_direction;
use everfold_core::hooks::{
    DeliveryReceived, HookEvent, KEPT, Parked, ParkedId, ParkedSignal, SignalOrigin, TriggerOutcome, stream,
};
use everfold_core::triggers::{Outcome, RequestedSignal, Target};
use everfold_language::definition::{Trigger, TriggerSource};
use futures::FutureExt as _;

/// A delivery that is to be handled.
pub(crate) struct DeliveryWork {
    pub(crate) source: String,
    pub(crate) delivery: Version,
    pub(crate) nth: u32,
    /// The request to handle it once more, of one that was handled before.
    pub(crate) asked: Option<Version>,
    /// The runs that an engine recorded as its targets before it ended, by trigger.
    pub(crate) recorded_targets: Vec<(SignalOrigin, Vec<RunId>)>,
}

/// What a delivery led to.
pub(crate) type Handled = (Vec<TriggerOutcome>, Vec<ParkedSignal>);

/// A delivery as it was received, with what ids derive from.
async fn received(
    shared: &Runtime,
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

/// Who is behind what a delivery starts: the person who asked for it once more, or delivered it by hand. `None`: it came from
/// its source, which says who its sender is.
async fn initiator(
    shared: &Runtime,
    source: &str,
    envelope: &Envelope,
    asked: Option<Version>,
) -> Result<Option<Actor>, NoInitiator> {
    let by = match asked {
        None => envelope.header.actor.clone(),
        Some(version) => {
            let read = shared.store.read(&stream(source), version, 1).await;
            let unreadable = |what: String| NoInitiator::NotNow(SubmitError::Store(what));
            let read = read.map_err(|error| unreadable(error.to_string()))?;
            let asked = read.first().ok_or_else(|| unreadable(format!("{source} has no {version}")))?;
            asked.header.actor.clone()
        }
    };
    if matches!(by, Actor::Hook(_) | Actor::Engine) {
        return Ok(None);
    }
    let behind = shared.initiator_of(&by).await?;
    Ok(behind.or(Some(by)))
}

/// Identifies one handling of a delivery, in every store.
fn about(source: &str, delivery: Version, hash: Hash, nth: u32) -> String {
    format!("hook/{source}/{delivery}/{hash}/{nth}")
}

/// The name of a delivery in the runs that get its signal.
fn delivery_name(source: &str, id: &str, nth: u32) -> String {
    match nth {
        0 | 1 => format!("{source}/{id}"),
        again => format!("{source}/{id}/{again}"),
    }
}

/// The actor of a delivery: its source and, where the source names one, its sender.
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

/// Has the actor record the runs that are about to get the signal.
fn record_targets(shared: &Arc<Runtime>, source: &str, by: SignalOrigin) -> RecordTargets {
    let (shared, source) = (Arc::clone(shared), source.to_owned());
    Box::new(move |runs| {
        async move {
            let request = |answer| WebhookRequest::RecordTargets { source, by, runs, answer };
            let recorded = shared.mailboxes.webhooks.requests.ask(request).await;
            recorded.map_err(|MailboxClosed| EngineStopped)
        }
        .boxed()
    })
}

/// Has every trigger that names the source act on a delivery.
pub(crate) async fn handle(shared: &Arc<Runtime>, work: &DeliveryWork) -> Result<Handled, EngineStopped> {
    let (source, nth) = (work.source.as_str(), work.nth);
    let unreadable = |what: String| {
        tracing::error!(source, delivery = work.delivery.get(), what, "a delivery cannot be handled");
        EngineStopped
    };
    let (event, envelope) =
        received(shared, source, work.delivery).await.map_err(|error| unreadable(error.to_string()))?;
    let initiator = initiator(shared, source, &envelope, work.asked).await;
    let triggers = shared.triggers.read(shared).await.map_err(|error| unreadable(error.to_string()))?;
    let initiator = match initiator {
        Ok(initiator) => initiator,
        Err(NoInitiator::NotNow(why)) => return Err(unreadable(why.to_string())),
        Err(why @ NoInitiator::SetAside { .. }) => {
            let refused = triggers.of_hook(source).map(|listed| TriggerOutcome {
                pipeline: listed.pipeline.to_owned(),
                trigger: u32::try_from(listed.index).unwrap_or(u32::MAX),
                outcome: no_initiator(&why),
            });
            return Ok((refused.collect(), Vec::new()));
        }
    };
    let trigger_event = event.trigger_event(source, envelope.header.recorded_at);
    let about = about(source, work.delivery, envelope.hash, nth);
    let (mut outcomes, mut parked) = (Vec::new(), Vec::new());
    for listed in triggers.of_hook(source) {
        let trigger = u32::try_from(listed.index).unwrap_or(u32::MAX);
        let pipeline = listed.pipeline.to_owned();
        let about = format!("{about}/{pipeline}/{trigger}");
        let by = SignalOrigin::Trigger { delivery: work.delivery, nth, pipeline: pipeline.clone(), trigger };
        let recorded_targets = work.recorded_targets.iter().find(|(targets, _)| *targets == by);
        let call = TriggerCall {
            definition: Arc::clone(listed.definition),
            about,
            delivery: delivery_name(source, &event.id, nth),
            actor: actor(source, &event),
            initiator: initiator.clone(),
            made_by: None,
            recorded_targets: recorded_targets.map(|(_, runs)| runs.clone()),
            record_targets: record_targets(shared, source, by),
        };
        let question = TriggerQuestion { call, trigger: listed.trigger, event: &trigger_event };
        let mut park = |signal: &str, to: Target, payload| {
            parked.push(ParkedSignal {
                pipeline: pipeline.clone(),
                trigger,
                signal: signal.to_owned(),
                to,
                payload,
            });
        };
        let outcome = match ask_trigger(shared, question).await? {
            TriggerAnswer::Done(outcome) => outcome,
            TriggerAnswer::NotNow { why } => {
                park("", Target::Start, None);
                Outcome::StartParked { why }
            }
            TriggerAnswer::NoTarget { signal, to } if signal.park => {
                let is_event = signal.payload == trigger_event.event;
                park(&signal.name, to.clone(), (!is_event).then(|| JsonText::new(&signal.payload)));
                Outcome::Parked { signal: signal.name, to }
            }
            TriggerAnswer::NoTarget { to, .. } => no_run_takes(&to),
        };
        outcomes.push(TriggerOutcome { pipeline, trigger, outcome });
    }
    if outcomes.is_empty() {
        shared.triggers.say_unheard(source);
    }
    Ok((outcomes, parked))
}

fn no_run_takes(to: &Target) -> Outcome {
    Outcome::Ignored { why: format!("no run takes it: no unended run has {to}") }
}

/// A signal that waits, to be offered once more.
pub(crate) struct ParkedOffer {
    pub(crate) id: ParkedId,
    pub(crate) parked: Parked,
    /// The targets that were recorded for it.
    pub(crate) recorded_targets: Option<Vec<RunId>>,
}

/// Offers signals that wait once more; gives those that wait no more.
pub(crate) async fn offer(
    shared: &Arc<Runtime>,
    source: &str,
    parked: Vec<ParkedOffer>,
) -> Result<Vec<(ParkedId, Outcome)>, EngineStopped> {
    let mut settled = Vec::new();
    for ParkedOffer { id, parked, recorded_targets } in parked {
        let by = SignalOrigin::Parked { handled: id.0, at: id.1 };
        let targets = (recorded_targets, record_targets(shared, source, by));
        let offered = match offer_one(shared, source, id, &parked, targets).await {
            // The others are recorded first; this one is offered again.
            Err(EngineStopped) if !settled.is_empty() => return Ok(settled),
            offered => offered?,
        };
        match offered {
            Some(outcome) => settled.push((id, outcome)),
            None if shared.now().since(parked.since) >= KEPT => {
                let why = match &parked.to {
                    Target::Start => "no run could be started within 7 days".to_owned(),
                    to => format!("no run took it within 7 days: no unended run had {to}"),
                };
                settled.push((id, Outcome::Ignored { why }));
            }
            None => {}
        }
    }
    Ok(settled)
}

async fn offer_one(
    shared: &Arc<Runtime>,
    source: &str,
    (handled, at): ParkedId,
    parked: &Parked,
    (recorded_targets, record_targets): (Option<Vec<RunId>>, RecordTargets),
) -> Result<Option<Outcome>, EngineStopped> {
    let unreadable = |what: String| {
        tracing::error!(source, version = handled.get(), what, "a signal that waits cannot be read");
        EngineStopped
    };
    let (event, envelope) =
        received(shared, source, parked.delivery).await.map_err(|error| unreadable(error.to_string()))?;
    let read = shared.store.read(&stream(source), handled, 1).await;
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    let signal = match read.first().map(decoded) {
        Some(Ok(HookEvent::DeliveryHandled(event))) => event.parked.into_iter().nth(at as usize),
        _other => None,
    };
    let parked_signal = signal.ok_or_else(|| unreadable("there is none".to_owned()))?;
    let about = about(source, parked.delivery, envelope.hash, parked.nth);
    let about = format!("{about}/{}/{}", parked_signal.pipeline, parked_signal.trigger);
    let delivery = delivery_name(source, &event.id, parked.nth);
    let actor = actor(source, &event);
    let initiator = match initiator(shared, source, &envelope, parked.asked).await {
        Ok(initiator) => initiator,
        Err(why @ NoInitiator::SetAside { .. }) => return Ok(Some(no_initiator(&why))),
        Err(NoInitiator::NotNow(why)) => return Err(unreadable(why.to_string())),
    };
    if parked_signal.to == Target::Start {
        let triggers = shared.triggers.read(shared).await.map_err(|error| unreadable(error.to_string()))?;
        let (pipeline, at) = (parked_signal.pipeline.as_str(), parked_signal.trigger);
        if triggers.damage(pipeline).is_some() {
            return Ok(None);
        }
        let listed = triggers.get(pipeline, at as usize);
        let is_of_source =
            |trigger: &Trigger| matches!(&trigger.on, TriggerSource::Hook(hook) if hook == source);
        let Some(listed) = listed.filter(|it| is_of_source(it.trigger)) else {
            let why = format!("the newest version of {pipeline} has no such trigger");
            return Ok(Some(Outcome::Ignored { why }));
        };
        let definition = Arc::clone(listed.definition);
        let call = TriggerCall {
            definition,
            about,
            delivery,
            actor,
            initiator,
            made_by: None,
            recorded_targets,
            record_targets,
        };
        let trigger_event = event.trigger_event(source, envelope.header.recorded_at);
        let question = TriggerQuestion { call, trigger: listed.trigger, event: &trigger_event };
        return Ok(match ask_trigger(shared, question).await? {
            TriggerAnswer::Done(outcome) => Some(outcome),
            TriggerAnswer::NotNow { .. } => None,
            TriggerAnswer::NoTarget { signal, .. } if signal.park => None,
            TriggerAnswer::NoTarget { to, .. } => Some(no_run_takes(&to)),
        });
    }
    let payload = match parked_signal.payload {
        Some(payload) => payload.value(),
        None => event.trigger_event(source, envelope.header.recorded_at).event,
    };
    let signal = RequestedSignal { name: parked_signal.signal, payload, to: None, park: true };
    let action = (about, delivery, actor);
    let to = parked_signal.to;
    send_once(shared, action, initiator.as_ref(), signal, to, recorded_targets, record_targets).await
}
