//! Steps that do not begin before a person says so.

use super::draft::Draft;
use super::people::refuse_ended;
use super::refusal::Refusal;
use crate::event::BreakpointsSet;
use crate::id::{StepId, StepPath};

pub(super) fn set(draft: &mut Draft<'_>, steps: &[StepId]) -> Result<(), Refusal> {
    refuse_ended(draft.state)?;
    let mut wanted = std::collections::BTreeSet::new();
    for step in steps {
        match draft.state.graph.find(step) {
            None => return Err(Refusal::UnknownStep(StepPath::step(step))),
            Some(at) if draft.state.graph.is_finish(at) => return Err(Refusal::NoBreakpoint(step.clone())),
            Some(at) => drop(wanted.insert(at)),
        }
    }
    if wanted != draft.state.facts.order.breakpoints {
        let steps = wanted.into_iter().map(|at| draft.state.step_id(at)).collect();
        draft.record(BreakpointsSet { steps });
    }
    Ok(())
}
