//! What a signal that ends a run decides, for the audit.
//!
//! Law: like a person who unblocks a step, a signal that lets a run succeed names the gates that it passes over.

use super::offered_signal::OfferedSignal;
use super::unblock::open_gates;
use crate::event::{SignalDecision, SignalEnd};
use crate::state::{Phase, RunState};
use everfold_language::definition::FinishStatus;

pub(super) fn of(state: &RunState, offer: &OfferedSignal, ends: &SignalEnd) -> SignalDecision {
    let bypassed = match ends {
        SignalEnd::Finished(FinishStatus::Succeeded) => bypassed(state),
        SignalEnd::Finished(FinishStatus::Failed | FinishStatus::Cancelled) | SignalEnd::Failed(_) => {
            Vec::new()
        }
    };
    let (name, sent_by) = (offer.name.clone(), offer.by.clone());
    SignalDecision { name, sent_by, words: offer.words(), bypassed }
}

/// The gates that had not passed, of the steps that are judged or blocked, as `STEP/GATE`.
fn bypassed(state: &RunState) -> Vec<String> {
    let stands_at_gates = |at: &usize| {
        let phase = &state.facts.steps[*at].phase;
        matches!(phase, Phase::Judging | Phase::Settling(_) | Phase::Blocked(_))
    };
    let steps = (0..state.graph.main_len()).filter(stands_at_gates);
    steps
        .flat_map(|at| {
            let step = &state.graph.step(at).id;
            open_gates(state, at).into_iter().map(move |gate| format!("{step}/{gate}"))
        })
        .collect()
}
