//! Names of an expression that no run has which it is asked of: most likely they are misspelt.
//!
//! Law: [`BisectNames`] reports a name only where no definition and no labels of any run that it looked at have it.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::definition::similar;
use everfold_engine::state::RunState;
use everfold_projections::AskedName;

use super::answer::UnknownName;

/// The names that an expression asks for, and those that runs have.
#[derive(Debug, Default)]
pub(super) struct BisectNames {
    asked: Vec<AskedName>,
    gates_of: BTreeMap<String, BTreeSet<String>>,
    labels: BTreeSet<String>,
    looked: bool,
}

impl BisectNames {
    pub(super) fn new(asked: Vec<AskedName>) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Takes the names of a run.
    pub(super) fn look(&mut self, state: &RunState) {
        self.looked = true;
        if self.asked.is_empty() {
            return;
        }
        let definition = state.definition();
        for step in definition.steps.iter().chain(&definition.on_finish) {
            let gates = self.gates_of.entry(step.id.to_string()).or_default();
            gates.extend(step.gates.iter().map(|gate| gate.id.clone()));
        }
        self.labels.extend(state.labels().keys().cloned());
    }

    /// The names that no run has.
    pub(super) fn unknown(&self) -> Vec<UnknownName> {
        let asked = self.asked.iter().filter(|_| self.looked);
        asked.filter_map(|name| self.missing(name)).collect()
    }

    fn missing(&self, name: &AskedName) -> Option<UnknownName> {
        let (kind, name, step, known): (_, _, _, Vec<&str>) = match name {
            AskedName::Step(step) => ("step", step, None, self.gates_of.keys().map(String::as_str).collect()),
            AskedName::Gate { step, gate } => {
                // Of a step that no run has the step is reported.
                let known = self.gates_of.get(step)?.iter().map(String::as_str).collect();
                ("gate", gate, Some(step.clone()), known)
            }
            AskedName::Label(label) => {
                ("label", label, None, self.labels.iter().map(String::as_str).collect())
            }
        };
        if known.contains(&name.as_str()) {
            return None;
        }
        let near = similar(name, known.into_iter()).map(str::to_owned);
        Some(UnknownName { kind: kind.to_owned(), name: name.clone(), step, near })
    }
}
