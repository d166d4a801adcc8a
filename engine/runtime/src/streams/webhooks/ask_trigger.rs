//! One trigger is asked what it makes of a delivery: at once, or again where its start waits.
//!
//! Law (S9): what is started has an id that derives from the delivery and the trigger, so asking once more starts nothing
//! twice.

use std::sync::Arc;

use crate::runtime::Runtime;
use crate::streams::triggers::action::{TriggerAction, TriggerCall, TriggerDone, act, started_before};
use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::triggers::trigger_config::trigger_config;
use everfold_core::triggers::{
    Outcome, RequestedSignal, Target, TriggerEvent, TriggerFit, is_refused_for_now, match_trigger,
};
use everfold_language::definition::Trigger;

/// A delivery for one trigger.
pub(super) struct TriggerQuestion<'a> {
    pub(super) call: TriggerCall,
    pub(super) trigger: &'a Trigger,
    pub(super) event: &'a TriggerEvent,
}

/// What a trigger makes of a delivery.
pub(super) enum TriggerAnswer {
    Done(Outcome),
    /// No run takes its signal now.
    NoTarget {
        signal: RequestedSignal,
        to: Target,
    },
    /// It starts no run now, or cannot tell yet, and is asked again.
    NotNow {
        why: String,
    },
}

/// Asks a trigger, and does what it wants.
pub(super) async fn ask_trigger(
    shared: &Arc<Runtime>,
    question: TriggerQuestion<'_>,
) -> Result<TriggerAnswer, EngineStopped> {
    let TriggerQuestion { call, trigger, event } = question;
    // Its run may have begun right before an engine ended, and the pipeline be another version since.
    if let Some(run) = started_before(shared, &call.about, &call.delivery, &call.actor).await? {
        return Ok(TriggerAnswer::Done(Outcome::Started { run }));
    }
    let parks = trigger.start.as_ref().is_some_and(|start| start.park);
    let refused = |code: &str, why: String| match parks && is_refused_for_now(code) {
        true => TriggerAnswer::NotNow { why },
        false => TriggerAnswer::Done(Outcome::Refused { code: code.to_owned(), message: why }),
    };
    let config = match trigger_config(shared, &call.definition, trigger).await {
        Ok(config) => config,
        // Settings that cannot be read say nothing of the delivery, so it is not lost by them.
        Err(refusal) => return Ok(TriggerAnswer::NotNow { why: refusal.to_string() }),
    };
    let event = TriggerEvent { config, ..event.clone() };
    let matched = match match_trigger(trigger, &event) {
        Err(error) => return Ok(refused("expression", error.to_string())),
        Ok(TriggerFit::Not { why, parks: true }) => return Ok(TriggerAnswer::NotNow { why }),
        Ok(TriggerFit::Not { why, parks: false }) => {
            return Ok(TriggerAnswer::Done(Outcome::Ignored { why }));
        }
        Ok(TriggerFit::Fits(matched)) => matched,
    };
    let action = TriggerAction { call, matched, event: event.event };
    Ok(match act(shared, action).await? {
        TriggerDone::Done(Outcome::Refused { code, message }) => refused(&code, message),
        TriggerDone::Done(outcome) => TriggerAnswer::Done(outcome),
        TriggerDone::NotNow { why } => TriggerAnswer::NotNow { why },
        TriggerDone::NoTarget { signal, to } => TriggerAnswer::NoTarget { signal, to },
    })
}
