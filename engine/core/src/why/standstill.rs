//! What keeps anything of a run from beginning: pauses, and slots that it does not have.

use everfold_base::id::StepPath;

use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::condition::clipped;
use super::explainer::Explainer;
use super::trail::Topic;
use crate::event::SlotKind;
use crate::state::PausedBy;

/// Pauses, and slots that the run does not have.
pub(super) fn standstill(explainer: &Explainer<'_>) -> Vec<CauseNode> {
    let mut causes = before_it_begins(explainer);
    let state = explainer.state;
    for pause in state.pauses() {
        let why = pause.reason.as_ref().map(|reason| format!(": {}", clipped(reason))).unwrap_or_default();
        let (sentence, subject, topic, about) = match &pause.by {
            PausedBy::Actor(who) => {
                let sentence = format!("the run is paused by {who}{why}");
                (sentence, CauseSubject::name(who), Topic::Paused, String::new())
            }
            PausedBy::Breakpoint(step) => {
                let path = StepPath::step(step);
                let sentence = format!("the run is paused before {step}, where a breakpoint is set");
                (sentence, CauseSubject::step(&path), Topic::Breakpoint, path.to_string())
            }
            PausedBy::Halt(scope) => {
                let sentence = format!("{scope} is paused{why}");
                (sentence, CauseSubject::name(scope.to_string()), Topic::Halted, scope.to_string())
            }
        };
        let cause = CauseNode::new(CauseKind::Paused, subject, sentence).since(pause.since);
        causes.push(explainer.shown(cause, topic, &about));
    }
    causes
}

/// The slots that the run waits for before anything of it begins.
pub(super) fn before_it_begins(explainer: &Explainer<'_>) -> Vec<CauseNode> {
    let state = explainer.state;
    if !state.is_queued() || state.facts.outcome.is_some() {
        return Vec::new();
    }
    let mut causes: Vec<CauseNode> = Vec::new();
    for slot in state.slots() {
        let sentence = match slot.kind {
            SlotKind::Identity { .. } => format!("the run waits for the key {}", slot.key),
            SlotKind::Concurrency { limit: 1, .. } => format!("the run waits for the slot {}", slot.key),
            SlotKind::Concurrency { limit, .. } => {
                format!("the run waits for one of {limit} slots {}", slot.key)
            }
        };
        let cause = CauseNode::new(CauseKind::Slot, CauseSubject::name(&slot.key), sentence);
        causes.push(explainer.shown(cause, Topic::Queued, ""));
    }
    if causes.is_empty() {
        causes.push(CauseNode::new(CauseKind::Slot, CauseSubject::default(), "the run waits to be admitted"));
    }
    causes
}
