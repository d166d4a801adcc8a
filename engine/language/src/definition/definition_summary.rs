//! What lists show of a definition.
//!
//! Law: what is read from a document is what the definition compiled from it says; nothing is compiled for that, since a list
//! of many pipelines needs none of them.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::model::{Definition, Step, Work};
use everfold_base::id::StepId;
use everfold_base::json::Value;

/// What lists show of a definition; read from its canonical document, which was checked before it was stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "StoredDefinition")]
pub struct DefinitionSummary {
    /// Its name.
    pub name: String,
    /// For readers.
    pub description: String,
    /// The JSON Schema of the input.
    pub input: Option<Value>,
    /// Its steps in order, those of `on_finish` last.
    pub steps: Vec<StepSummary>,
    /// Whether something starts or signals runs of it by itself.
    pub has_triggers: bool,
}

/// What lists show of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSummary {
    /// Its name.
    pub id: StepId,
    /// What it does, as [`Step::kind`] says it.
    pub kind: String,
    /// What must be satisfied before.
    pub needs: Vec<StepId>,
    /// The names of its gates.
    pub gates: Vec<String>,
}

/// The parts of a document that a summary has.
#[derive(Deserialize)]
struct StoredDefinition {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    triggers: Vec<IgnoredAny>,
    steps: Vec<StoredStep>,
    #[serde(default)]
    on_finish: Vec<StoredStep>,
}

#[derive(Deserialize)]
struct StoredStep {
    id: StepId,
    #[serde(default)]
    needs: Vec<StepId>,
    #[serde(default)]
    gates: Vec<StoredGate>,
    #[serde(default)]
    work: Option<StoredWork>,
}

#[derive(Deserialize)]
struct StoredGate {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredWork {
    Task(StoredTask),
    Approval(IgnoredAny),
    Question(IgnoredAny),
    Wait(IgnoredAny),
}

#[derive(Deserialize)]
struct StoredTask {
    kind: String,
}

impl DefinitionSummary {
    /// Of a definition that is at hand.
    #[must_use]
    pub fn of(definition: &Definition) -> Self {
        let steps = definition.steps.iter().chain(&definition.on_finish);
        Self {
            name: definition.name.clone(),
            description: definition.description.clone(),
            input: definition.input.clone(),
            steps: steps.map(StepSummary::of).collect(),
            has_triggers: !definition.triggers.is_empty(),
        }
    }
}

impl From<StoredDefinition> for DefinitionSummary {
    fn from(stored: StoredDefinition) -> Self {
        let steps = stored.steps.into_iter().chain(stored.on_finish);
        Self {
            name: stored.name,
            description: stored.description,
            input: stored.input,
            steps: steps.map(StepSummary::from).collect(),
            has_triggers: !stored.triggers.is_empty(),
        }
    }
}

impl StepSummary {
    fn of(step: &Step) -> Self {
        Self {
            id: step.id.clone(),
            kind: step.kind().to_owned(),
            needs: step.needs.clone(),
            gates: step.gates.iter().map(|gate| gate.id.clone()).collect(),
        }
    }
}

impl From<StoredStep> for StepSummary {
    fn from(step: StoredStep) -> Self {
        let kind = match step.work {
            Some(StoredWork::Task(task)) => task.kind,
            Some(StoredWork::Approval(_)) => Work::APPROVAL.to_owned(),
            Some(StoredWork::Question(_)) => Work::QUESTION.to_owned(),
            Some(StoredWork::Wait(_)) => Work::WAIT.to_owned(),
            None => Step::GATES.to_owned(),
        };
        Self {
            id: step.id,
            kind,
            needs: step.needs,
            gates: step.gates.into_iter().map(|gate| gate.id).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{NoFiles, parse};

    #[test]
    fn the_summary_of_a_document_is_that_of_its_definition() {
        let all = "
name: all
description: one of each
input: { type: object, properties: { n: { type: integer } }, required: [n] }
triggers: [{ hook: plane, start: { input: { n: 1 } } }]
steps:
  - { id: shell, command: 'echo ${input.n}', gates: [{ id: good, expression: 'true' }] }
  - { id: asks, needs: [shell], approval: { title: Go? } }
  - { id: asked, needs: [shell, asks], question: { title: What? } }
  - { id: waits, wait: { for: 1s } }
  - { id: judged, gates: [{ id: done, expression: '1 == 1' }] }
on_finish: [{ id: tidy, function: everfold.noop }]
";
        for text in [all, "name: least\nsteps: [{ id: a, command: 'true' }]\n"] {
            let definition = parse(text, "p.yaml", &NoFiles).unwrap().definition;
            let summary: DefinitionSummary = serde_json::from_str(&definition.document()).unwrap();
            assert_eq!(summary, DefinitionSummary::of(&definition));
        }
        let definition = parse(all, "p.yaml", &NoFiles).unwrap().definition;
        let kinds: Vec<String> =
            DefinitionSummary::of(&definition).steps.into_iter().map(|step| step.kind).collect();
        assert_eq!(kinds, ["command", "approval", "question", "wait", "gates", "function"]);
    }
}
