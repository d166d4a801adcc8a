//! What a moment leads to.
//!
//! Law (S9): what is started has an id that derives from the moment, and the runs that get a signal are recorded before
//! it is sent, so following a moment once more after a crash does nothing twice.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::json;

use crate::error::PipelineError;
use crate::runtime::Runtime;
use crate::start::initiator::{NoInitiator, no_initiator};
use crate::start::start_run::in_one_line;
use crate::streams::mailbox::MailboxClosed;
use crate::streams::schedules::key_queues::{KeyQueues, QueuedTick};
use crate::streams::schedules::mailbox::ScheduleRequest;
use crate::streams::triggers::action::{
    RecordTargets, TriggerAction, TriggerCall, TriggerDone, act, started_before,
};
use crate::streams::triggers::key_overlap::JudgedStart;
use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::triggers::trigger_config::trigger_config;
use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_base::json::{Hash, Value};
use everfold_core::schedules::{ScheduleOrigin, Tick, stream};
use everfold_core::triggers::{
    Outcome, RequestedStart, TriggerEvent, TriggerFit, TriggerMatch, match_trigger,
};
use everfold_language::definition::{Definition, Overlap, PipelineRef, TriggerSource};

/// A moment that has come.
pub(crate) struct TickWork {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) tick: Tick,
    pub(crate) origin: ScheduleOrigin,
    /// Who made the schedule what it is.
    pub(crate) set_by: Option<Actor>,
    /// What becomes of it while another run holds the key that its run would have; `None`: that is not looked at.
    pub(crate) key_overlap: Option<Overlap>,
    /// The moments that wait for keys.
    pub(crate) key_queues: Arc<KeyQueues>,
    /// The run of the last moment: the one that counts where its own run would have no key.
    pub(crate) last_run: Option<RunId>,
    /// The runs that an engine recorded as its targets before it ended.
    pub(crate) recorded_targets: Option<Vec<RunId>>,
}

/// A moment that was followed.
pub(crate) struct FollowedTick {
    pub(super) name: String,
    pub(super) tick: Version,
    pub(super) outcome: Result<TickEnd, EngineStopped>,
}

/// How following a moment ended.
pub(crate) enum TickEnd {
    /// It led to this.
    Led(Outcome),
    /// It waits: this run holds the key that its run would have. `None`: an earlier moment waits for it, too.
    Queued(Option<RunId>),
}

/// Has the actor record the runs that are about to get the signal.
fn record_targets(shared: &Arc<Runtime>, name: &str, tick: Version) -> RecordTargets {
    let (shared, name) = (Arc::clone(shared), name.to_owned());
    Box::new(move |runs| {
        async move {
            let request = |answer| ScheduleRequest::RecordTargets(name, tick, runs, answer);
            let recorded = shared.mailboxes.schedules.ask(request).await;
            recorded.map_err(|MailboxClosed| EngineStopped)
        }
        .boxed()
    })
}

fn is_step(actor: &Actor) -> bool {
    matches!(actor, Actor::Run(_))
}

/// What the ids of a moment's runs derive from.
pub(crate) fn about(name: &str, version: Version, hash: Hash) -> String {
    format!("schedule/{name}/{version}/{hash}")
}

/// How a moment is identified.
struct TickIdentity {
    /// What the ids of its runs derive from.
    about: String,
    /// Its name in the runs that get its signal.
    delivery: String,
    actor: Actor,
    /// Who asked for it, by hand.
    asked_by: Actor,
}

fn unreadable(name: &str, what: &str) -> EngineStopped {
    tracing::error!(schedule = name, what, "a moment cannot be followed");
    EngineStopped
}

async fn identity(
    shared: &Runtime,
    name: &str,
    version: Version,
    tick: Tick,
) -> Result<TickIdentity, EngineStopped> {
    let read = shared.store.read(&stream(name), version, 1).await;
    let read = read.map_err(|error| unreadable(name, &error.to_string()))?;
    let due = read.first().ok_or_else(|| unreadable(name, "it is gone"))?;
    let hash = due.hash;
    Ok(TickIdentity {
        about: about(name, version, hash),
        // Two moments made by requests may have the same time.
        delivery: format!("{name}/{}/{version}", tick.at),
        actor: Actor::Schedule(name.to_owned()),
        asked_by: due.header.actor.clone(),
    })
}

/// Who is behind what a moment starts: who asked for it by hand, else who made the schedule what it is. A step's process may
/// do either. `None`: the schedule is a trigger of a pipeline.
async fn initiator(
    shared: &Runtime,
    by_hand: Option<&Actor>,
    set_by: Option<&Actor>,
) -> Result<Option<Actor>, NoInitiator> {
    let Some(actor) = by_hand.or(set_by).filter(|actor| **actor != Actor::Engine) else { return Ok(None) };
    let behind = shared.initiator_of(actor).await?;
    Ok(behind.or_else(|| Some(actor.clone())))
}

/// Whether a run of a moment that waits has begun: an engine may have ended before it recorded that.
pub(crate) async fn has_begun(
    shared: &Arc<Runtime>,
    name: &str,
    version: Version,
    tick: Tick,
) -> Result<bool, EngineStopped> {
    let TickIdentity { about, delivery, actor, asked_by: _ } = identity(shared, name, version, tick).await?;
    Ok(started_before(shared, &about, &delivery, &actor).await?.is_some())
}

/// What a moment asks for.
enum MomentAction {
    /// To act on this pipeline.
    Act(Arc<Definition>, TriggerMatch),
    /// Nothing follows.
    Nothing(Outcome),
}

async fn wanted(
    shared: &Arc<Runtime>,
    name: &str,
    origin: ScheduleOrigin,
    event: &Value,
    actor: &Actor,
) -> Result<MomentAction, EngineStopped> {
    let unreadable = |what: String| unreadable(name, &what);
    let refused = |code: &str, message: String| {
        MomentAction::Nothing(Outcome::Refused { code: code.to_owned(), message })
    };
    let ignored = |why: String| MomentAction::Nothing(Outcome::Ignored { why });
    match origin {
        ScheduleOrigin::Added { pipeline, input, title } => {
            let reference: PipelineRef = match pipeline.parse() {
                Ok(reference) => reference,
                Err(error) => return Ok(refused("no_pipeline", format!("{error}"))),
            };
            let definition = match shared.pipeline(&reference).await {
                Ok(definition) => definition,
                Err(error @ (PipelineError::NotFound(_) | PipelineError::Unreadable { .. })) => {
                    return Ok(refused("no_pipeline", error.to_string()));
                }
                Err(error) => return Err(unreadable(error.to_string())),
            };
            let title = in_one_line(title.as_deref());
            let start = Some(RequestedStart { input: input.value(), title, parks: false });
            Ok(MomentAction::Act(definition, TriggerMatch { start, signal: None }))
        }
        ScheduleOrigin::Trigger { pipeline, index } => {
            let triggers =
                shared.triggers.read(shared).await.map_err(|error| unreadable(error.to_string()))?;
            let listed = triggers.get(&pipeline, index as usize);
            let listed = listed.filter(|listed| matches!(listed.trigger.on, TriggerSource::Schedule(_)));
            if let Some(damage) = triggers.damage(&pipeline) {
                return Ok(refused(
                    "no_pipeline",
                    format!("the pipeline {pipeline} cannot be read: {damage}"),
                ));
            }
            let Some(listed) = listed else {
                let why = format!("the newest version of {pipeline} has no such trigger");
                return Ok(ignored(why));
            };
            let config = match trigger_config(shared, listed.definition, listed.trigger).await {
                Ok(config) => config,
                Err(refusal) => return Ok(refused(refusal.code(), refusal.to_string())),
            };
            let trigger_event = TriggerEvent { event: event.clone(), actor: actor.to_string(), config };
            Ok(match match_trigger(listed.trigger, &trigger_event) {
                Err(error) => refused("expression", error.to_string()),
                Ok(TriggerFit::Not { why, .. }) => ignored(why),
                Ok(TriggerFit::Fits(matched)) => MomentAction::Act(Arc::clone(listed.definition), matched),
            })
        }
    }
}

/// Does what a moment leads to, once, however often it is called.
pub(crate) async fn follow(shared: &Arc<Runtime>, work: TickWork) -> Result<TickEnd, EngineStopped> {
    let TickWork { name, version, tick, origin, set_by, key_overlap, key_queues, last_run, recorded_targets } =
        work;
    let TickIdentity { about, delivery, actor, asked_by } = identity(shared, &name, version, tick).await?;
    let event = json!({
        "name": "schedule", "schedule": name, "at": tick.at.to_string(), "by_hand": tick.by_hand,
        "headers": {}, "body": null,
    });
    // Its run may have begun right before an engine ended, and the pipeline be another version since.
    if let Some(run) = started_before(shared, &about, &delivery, &actor).await? {
        return Ok(TickEnd::Led(Outcome::Started { run }));
    }
    let initiator = match initiator(shared, tick.by_hand.then_some(&asked_by), set_by.as_ref()).await {
        Ok(initiator) => initiator,
        Err(why @ NoInitiator::SetAside { .. }) => return Ok(TickEnd::Led(no_initiator(&why))),
        Err(NoInitiator::NotNow(why)) => return Err(unreadable(&name, &why.to_string())),
    };
    let (definition, matched) = match wanted(shared, &name, origin, &event, &actor).await? {
        MomentAction::Act(definition, matched) => (definition, matched),
        MomentAction::Nothing(outcome) => return Ok(TickEnd::Led(outcome)),
    };
    let ignored = |why: String| TickEnd::Led(Outcome::Ignored { why });
    let overlap = key_overlap.filter(|overlap| *overlap != Overlap::Allow);
    let source = (about.clone(), delivery.clone(), actor.clone());
    let judged = match overlap {
        Some(_) => {
            let source = (source.0.as_str(), source.1.as_str(), &source.2);
            JudgedStart::of(shared, &definition, &matched, source, last_run).await
        }
        None => None,
    };
    if let Some(judged) = &judged {
        let queues = overlap == Some(Overlap::Queue);
        if let Some(key) = judged.key() {
            let tick = QueuedTick { at: tick.at, name: name.clone(), version };
            if queues && !key_queues.enter(key, &tick) {
                return Ok(TickEnd::Queued(None));
            }
            if !queues && key_queues.has_other(key, &tick) {
                return Ok(ignored("a moment of another schedule waits for the same key".to_owned()));
            }
        }
        if let Some(holder) = judged.holder().await? {
            let why = format!("run {} of the same key has not ended", holder.short());
            return Ok(if queues { TickEnd::Queued(Some(holder)) } else { ignored(why) });
        }
    }
    // A trigger is made by who saves it.
    let saved_by = match matched.signal {
        Some(_) => {
            let saved = shared.saved_by(&definition.name, definition.hash()).await;
            saved.map_err(|error| unreadable(&name, &error.to_string()))?
        }
        None => None,
    };
    let makers = [tick.by_hand.then_some(asked_by), set_by, saved_by.clone()];
    let made_by = makers.into_iter().flatten().find(is_step);
    // A run that the moment starts records who is behind it, and a pipeline's own trigger has nobody: who saved it counts for
    // signals alone.
    let initiator = initiator.or(saved_by.filter(|_| matched.start.is_none()));
    let record_targets = record_targets(shared, &name, version);
    let call = TriggerCall {
        definition,
        about,
        delivery,
        actor,
        initiator,
        made_by,
        recorded_targets,
        record_targets,
    };
    let action = TriggerAction { call, matched, event };
    Ok(match act(shared, action).await? {
        TriggerDone::Done(outcome) => TickEnd::Led(outcome),
        TriggerDone::NotNow { why } => ignored(why),
        TriggerDone::NoTarget { to, .. } => ignored(format!("no run takes it: no unended run has {to}")),
    })
}
