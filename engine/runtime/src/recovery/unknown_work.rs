//! Work and probes that a pipeline names and this engine does not have.
//!
//! Law: starts and checks of a pipeline look for it; a run that has begun is never refused.

use everfold_base::failure::Failure;
use everfold_language::definition::{self, Definition, ExecutorTask, Gate, NestedPipeline, Probe, Work};
use everfold_ports::Edge;

/// Work or a probe whose name this engine does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where: `the step build`, `the gate ready of the step build`, `the step build within the step fan`.
    pub place: String,
    /// What is not there, with a hint.
    pub failure: Failure,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.failure.message)
    }
}

/// All work and probes of a pipeline and of those nested in it that this edge does not have, in the order of the file.
#[must_use]
pub fn unknown_work(edge: &Edge, definition: &Definition) -> Vec<Unknown> {
    unknown_in(edge, definition, &definition::nested(definition))
}

/// As [`unknown_work`], where the nested pipelines are at hand.
pub(crate) fn unknown_in(edge: &Edge, definition: &Definition, nested: &[NestedPipeline]) -> Vec<Unknown> {
    let mut found = Vec::new();
    for (suffix, definition) in definition::with_nested(definition, nested) {
        of_pipeline(edge, definition, suffix, &mut found);
    }
    found
}

fn of_pipeline(edge: &Edge, definition: &Definition, suffix: &str, found: &mut Vec<Unknown>) {
    for gate in &definition.admit.gates {
        of_gate(edge, gate, &format!("`admit`{suffix}"), found);
    }
    for step in definition.steps.iter().chain(&definition.on_finish) {
        let place = format!("the step {}{suffix}", step.id);
        if let Some(Work::Task(task)) = &step.work
            && let Some(executor) = edge.executors.get(&task.kind)
            && let Some(failure) = executor.unknown(task.spec.source())
        {
            found.push(Unknown { place: place.clone(), failure });
        }
        for gate in &step.gates {
            of_gate(edge, gate, &place, found);
        }
    }
    let functions = edge.executors.get(ExecutorTask::FUNCTION);
    for notice in &definition.notify {
        let spec = serde_json::json!({ "name": notice.function });
        if let Some(failure) = functions.and_then(|functions| functions.unknown(&spec)) {
            found.push(Unknown { place: format!("the notice {}{suffix}", notice.id), failure });
        }
    }
}

fn of_gate(edge: &Edge, gate: &Gate, place: &str, found: &mut Vec<Unknown>) {
    let mut probes = vec![&gate.probe];
    while let Some(probe) = probes.pop() {
        match probe {
            Probe::Expression(_) => {}
            Probe::Task(task) => {
                let prober = edge.probers.get(&task.kind);
                if let Some(failure) = prober.and_then(|prober| prober.unknown(task.spec.source())) {
                    found.push(Unknown { place: format!("the gate {} of {place}", gate.id), failure });
                }
            }
            Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => {
                probes.extend(members.iter().rev().map(|member| &member.probe));
            }
            Probe::Not(member) => probes.push(&member.probe),
        }
    }
}
