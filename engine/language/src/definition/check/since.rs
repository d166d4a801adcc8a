//! What `diff: {since: STEP}` cannot compare.

use super::super::codes::Code;
use super::super::read::PipelineReader;
use super::super::{Member, Probe};
use crate::definition::read::StepDraft;

/// Reports a gate that compares with the commit of its own step: that is the commit at which it is judged, so that nothing
/// ever lies behind it, and whatever the step changed would pass.
pub(super) fn own_since(reader: &mut PipelineReader<'_>, draft: &StepDraft) {
    let id = draft.step.id.as_str();
    if draft.step.gates.iter().any(|gate| compares_with(&gate.probe, id)) {
        let message = format!("`since: {id}` in a gate of “{id}” itself: nothing lies behind what it leaves");
        reader.report(Code::Combination, draft.id_span.clone(), message).hint =
            Some("write since: round, for what this round of the step changed".to_owned());
    }
}

fn compares_with(probe: &Probe, step: &str) -> bool {
    let any = |members: &[Member]| members.iter().any(|member| compares_with(&member.probe, step));
    match probe {
        Probe::Task(task) => task.kind == "diff" && task.spec.source()["since"] == step,
        Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => any(members),
        Probe::Not(member) => compares_with(&member.probe, step),
        Probe::Expression(_) => false,
    }
}
