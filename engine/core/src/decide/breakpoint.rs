//! Steps that do not begin before a person says so.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::preconditions::refuse_ended;
use super::refusal::Refusal;
use crate::event::BreakpointsSet;
use everfold_base::id::{StepId, StepPath};
use everfold_language::definition::Graph;

pub(super) fn set(draft: &mut Draft<'_>, steps: &[StepId]) -> Result<(), Refusal> {
    refuse_ended(draft.state)?;
    let wanted = steps.iter().map(|step| check(&draft.state.graph, step));
    let wanted: BTreeSet<usize> = wanted.collect::<Result<_, _>>()?;
    if wanted != draft.state.facts.order.breakpoints {
        let steps = wanted.into_iter().map(|at| draft.state.step_id(at)).collect();
        draft.record(BreakpointsSet { steps });
    }
    Ok(())
}

/// The step that a run may be paused before.
pub(super) fn check(graph: &Graph, step: &StepId) -> Result<usize, Refusal> {
    match graph.find(step) {
        None => Err(Refusal::UnknownStep(StepPath::step(step))),
        Some(at) if graph.is_finish(at) => Err(Refusal::NoBreakpoint(step.clone())),
        Some(at) => Ok(at),
    }
}
