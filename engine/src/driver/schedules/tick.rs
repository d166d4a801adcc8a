//! What a moment leads to.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::json;
use tokio::sync::oneshot;

use super::super::PipelineError;
use super::super::shared::Shared;
use super::super::start::in_one_line;
use super::super::triggers::{Done, Errand, Mean, Stopped, act, started_before};
use super::Ask;
use crate::actor::Actor;
use crate::definition::TriggerSource;
use crate::id::{RunId, Version};
use crate::saved::PipelineRef;
use crate::schedules::{ScheduleOrigin, Tick, stream};
use crate::triggers::{Occasion, Outcome, Wish, WishedStart, wish};

/// A moment that has come.
pub(super) struct Work {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) tick: Tick,
    pub(super) origin: ScheduleOrigin,
    /// Who was about to be told when an engine ended.
    pub(super) meant: Option<Vec<RunId>>,
}

/// Records at the desk who is about to be told.
fn mean(shared: &Arc<Shared>, name: &str, tick: Version) -> Mean {
    let (shared, name) = (Arc::clone(shared), name.to_owned());
    Box::new(move |runs| {
        async move {
            let (answer, recorded) = oneshot::channel();
            let ask = Ask::Mean(name, tick, runs, answer);
            shared.schedules.asks.send(ask).await.map_err(|_| Stopped)?;
            recorded.await.map_err(|_| Stopped)
        }
        .boxed()
    })
}

/// How a moment is called: what its runs derive from, and what those that are told call it.
struct Called {
    about: String,
    delivery: String,
    actor: Actor,
}

fn unreadable(name: &str, what: &str) -> Stopped {
    tracing::error!(schedule = name, what, "a moment cannot be followed");
    Stopped
}

async fn called(shared: &Shared, name: &str, version: Version, tick: Tick) -> Result<Called, Stopped> {
    let read = shared.store.read(&stream(name), version, 1).await;
    let read = read.map_err(|error| unreadable(name, &error.to_string()))?;
    let hash = read.first().map(|envelope| envelope.hash).ok_or_else(|| unreadable(name, "it is gone"))?;
    Ok(Called {
        about: format!("schedule/{name}/{version}/{hash}"),
        // Two that somebody asks for may be of one time.
        delivery: format!("{name}/{}/{version}", tick.at),
        actor: Actor::Schedule(name.to_owned()),
    })
}

/// Whether a run of a moment that waits has begun: right before an engine ended that could not say so any more.
pub(super) async fn has_begun(
    shared: &Arc<Shared>,
    name: &str,
    version: Version,
    tick: Tick,
) -> Result<bool, Stopped> {
    let Called { about, delivery, actor } = called(shared, name, version, tick).await?;
    Ok(started_before(shared, &about, &delivery, &actor).await?.is_some())
}

/// Has follow what a moment leads to, as often as it is asked, once.
pub(super) async fn follow(shared: &Arc<Shared>, work: Work) -> Result<Outcome, Stopped> {
    let Work { name, version, tick, origin, meant } = work;
    let unreadable = |what: String| unreadable(&name, &what);
    let Called { about, delivery, actor } = called(shared, &name, version, tick).await?;
    let event = json!({
        "name": "schedule", "schedule": name, "at": tick.at.to_string(), "by_hand": tick.by_hand,
        "headers": {}, "body": null,
    });
    // Its run may have begun right before an engine ended, and its trigger be another one since.
    if let Some(run) = started_before(shared, &about, &delivery, &actor).await? {
        return Ok(Outcome::Started { run });
    }
    let refused = |code: &str, message: String| Outcome::Refused { code: code.to_owned(), message };
    let (definition, wish) = match origin {
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
            let start = Some(WishedStart { input: input.value(), title });
            (definition, Wish { start, signal: None })
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
                return Ok(Outcome::Ignored { why });
            };
            let occasion = Occasion { event: event.clone(), actor: actor.to_string() };
            match wish(listed.trigger, &occasion) {
                Err(error) => {
                    return Ok(refused("expression", error.to_string()));
                }
                Ok(None) => return Ok(Outcome::Ignored { why: "its `when` does not hold".to_owned() }),
                Ok(Some(wish)) => (Arc::clone(listed.definition), wish),
            }
        }
    };
    let errand =
        Errand { definition, wish, event, about, delivery, actor, meant, mean: mean(shared, &name, version) };
    Ok(match act(shared, errand).await? {
        Done::Led(outcome) => outcome,
        Done::Nobody { to, .. } => {
            Outcome::Ignored { why: format!("nobody hears it: no unended run has {to}") }
        }
    })
}
