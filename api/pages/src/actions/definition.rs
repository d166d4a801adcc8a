//! What a definition says of its steps: which need which, who listens to signals, what the input is.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The canonical document of a pipeline.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Definition {
    pub(super) input: Value,
    steps: Vec<StepText>,
    on_finish: Vec<StepText>,
    on_signal: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct StepText {
    id: String,
    needs: Value,
    work: Value,
    gates: Vec<GateText>,
    on_signal: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct GateText {
    id: String,
    policy: Value,
    wake: Value,
}

impl Definition {
    /// The steps, without those that run however the run ends.
    pub(super) fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.id.as_str())
    }

    /// The steps that run however the run ends.
    pub(super) fn finishing(&self) -> Vec<&str> {
        self.on_finish.iter().map(|step| step.id.as_str()).collect()
    }

    /// A step and all that depend on it.
    pub(super) fn downstream<'a>(&'a self, from: &str, into: &mut BTreeSet<&'a str>) {
        let mut open = vec![from.to_owned()];
        while let Some(name) = open.pop() {
            let found = self.steps.iter().find(|step| step.id == name);
            if !found.is_some_and(|step| into.insert(&step.id)) {
                continue;
            }
            let needs_it = |step: &&StepText| is_named(&step.needs, &name);
            open.extend(self.steps.iter().filter(needs_it).map(|step| step.id.clone()));
        }
    }

    /// The gates of a step, each with its policy where it is an expression.
    pub(super) fn gates(&self, step: &str) -> Vec<(&str, Option<&str>)> {
        let step = step.split('.').next().unwrap_or(step);
        let all = self.steps.iter().chain(&self.on_finish);
        let found = all.filter(|known| known.id == step).flat_map(|step| &step.gates);
        found.map(|gate| (gate.id.as_str(), gate.policy.as_str())).collect()
    }

    /// What listens to a signal, in words for a sentence.
    pub(super) fn listeners(&self, signal: &str) -> Vec<String> {
        let mut listeners = Vec::new();
        for step in self.steps.iter().chain(&self.on_finish) {
            if step.work.pointer("/wait/signal").and_then(Value::as_str) == Some(signal) {
                listeners.push(format!("{} waits for it", step.id));
            }
            if step.on_signal.contains_key(signal) {
                listeners.push(format!("{} has a route for it", step.id));
            }
            let woken = step.gates.iter().filter(|gate| is_named(&gate.wake, signal));
            listeners.extend(woken.map(|gate| format!("it wakes the gate {} of {}", gate.id, step.id)));
        }
        if self.on_signal.contains_key(signal) {
            listeners.push("the pipeline has a route for it".to_owned());
        }
        listeners
    }
}

/// Whether a name stands in a text, a list or a map of lists.
fn is_named(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Array(values) => values.iter().any(|value| is_named(value, name)),
        Value::Object(fields) => fields.values().any(|value| is_named(value, name)),
        _other => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release() -> Definition {
        let document = json!({ "steps": [
            { "id": "build" },
            { "id": "unit", "needs": ["build"] },
            { "id": "lint", "needs": ["build"] },
            { "id": "approve", "needs": { "any": ["unit", "lint"] }, "on_signal": { "go": [] } },
            { "id": "deploy", "needs": ["approve"], "work": { "wait": { "signal": "go" } } },
        ] });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn who_listens_to_a_signal_is_said() {
        assert_eq!(release().listeners("go"), ["approve has a route for it", "deploy waits for it"]);
        assert!(release().listeners("stop").is_empty());
    }
}
