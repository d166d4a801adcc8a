//! Work and probes that a pipeline names and this engine does not have.
//!
//! Law: starts and checks of a pipeline look for it; a run that has begun is never refused.

use everfold_base::failure::Failure;
use everfold_language::definition::{Definition, Gate, Probe};
use everfold_ports::Edge;

/// Work or a probe whose name this engine does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where: `the step build`, `the gate ready of the step build`.
    pub place: String,
    /// What is not there, with a hint.
    pub failure: Failure,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.failure.message)
    }
}

/// All work and probes of a pipeline that this edge does not have, in the order of the file.
#[must_use]
pub fn unknown_work(edge: &Edge, definition: &Definition) -> Vec<Unknown> {
    let mut found = Vec::new();
    for gate in &definition.admit.gates {
        of_gate(edge, gate, "`admit`", &mut found);
    }
    for step in definition.steps.iter().chain(&definition.on_finish) {
        let place = format!("the step {}", step.id);
        if let Some(everfold_language::definition::Work::Task(task)) = &step.work
            && let Some(executor) = edge.executors.get(&task.kind)
            && let Some(failure) = executor.unknown(task.spec.source())
        {
            found.push(Unknown { place: place.clone(), failure });
        }
        for gate in &step.gates {
            of_gate(edge, gate, &place, &mut found);
        }
    }
    found
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
