//! What a signal decides in the place of the pipeline's own judgement, for the audit.
//!
//! Law: like a person who unblocks a step, a signal that lets a run succeed names the gates that it passes over.

use super::offered_signal::OfferedSignal;
use super::unblock::open_gates;
use crate::event::{SignalDecision, SignalEnd};
use crate::state::{Phase, RunState};
use everfold_language::definition::FinishStatus;

/// What the route of a signal decides.
pub(super) enum DecidedEnd {
    /// How the run ends.
    Run(SignalEnd),
    /// That the step fails.
    Step,
    /// Nothing that a judgement would.
    None,
}

pub(super) fn of(state: &RunState, offer: &OfferedSignal, end: &DecidedEnd) -> Option<SignalDecision> {
    let bypassed = match end {
        DecidedEnd::Run(SignalEnd::Finished(FinishStatus::Succeeded)) => bypassed(state),
        DecidedEnd::Run(_) | DecidedEnd::Step => Vec::new(),
        DecidedEnd::None => return None,
    };
    let (name, sent_by) = (offer.name.clone(), offer.by.clone());
    Some(SignalDecision { name, sent_by, words: offer.words(), bypassed })
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
