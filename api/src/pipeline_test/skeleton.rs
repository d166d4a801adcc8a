//! The first case of a pipeline, as a text to go on from: every step succeeds, every gate passes.

use std::fmt::Write as _;

use super::made_up;
use everfold_engine::definition::{Definition, Gate, Member, Probe, Question, Step, Work};
use everfold_engine::expr::Template;
use everfold_engine::json::Value;
use serde_json::json;

/// A file with one case, in which every step succeeds and every gate passes.
#[must_use]
pub fn first_case(definition: &Definition) -> String {
    let mut text = format!(
        "# Test cases of the pipeline {}: everfold pipeline test FILE\n\n- name: everything goes well\n",
        definition.name
    );
    let mut line = |line: String| {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "{line}");
    };
    if let Some(input) = definition.input.as_ref().map(example) {
        line(format!("  input: {input}"));
    }
    let steps = || definition.steps.iter().chain(&definition.on_finish).filter(|step| !step.standby);
    let outputs = made_up::completed(definition, output);
    let stubs = steps().filter(|step| matches!(step.work, Some(Work::Task(_))));
    let stubs: Vec<String> =
        stubs.map(|step| format!("    {}: {{ output: {} }}", step.id, outputs[&step.id])).collect();
    if !stubs.is_empty() {
        line("  steps:".to_owned());
        stubs.into_iter().for_each(&mut line);
    }
    let gated: Vec<String> =
        steps().filter_map(|step| Some(format!("    {}: {}", step.id, gates(&step.gates)?))).collect();
    if !gated.is_empty() {
        line("  gates:".to_owned());
        gated.into_iter().for_each(&mut line);
    }
    if let Some(admit) = gates(&definition.admit.gates) {
        line(format!("  admit: {admit}"));
    }
    let asked: Vec<String> = steps().filter_map(decision).collect();
    if !asked.is_empty() {
        line("  decide:".to_owned());
        asked.into_iter().for_each(&mut line);
    }
    let awaited = steps().filter_map(|step| match &step.work {
        Some(Work::Wait(wait)) => {
            wait.signal.as_ref().map(|signal| format!("    - {{ signal: {signal}, at: {} }}", step.id))
        }
        _other => None,
    });
    let awaited: Vec<String> = awaited.collect();
    if !awaited.is_empty() {
        line("  signals:".to_owned());
        awaited.into_iter().for_each(&mut line);
    }
    line("  expect:".to_owned());
    line("    status: succeeded".to_owned());
    text
}

/// What a step says itself of its output: what its schema requires, or what its `outputs` match.
fn output(step: &Step) -> Value {
    let Some(Work::Task(task)) = &step.work else { return Value::Null };
    let matched =
        step.outputs.matches.keys().map(|name| (name.clone(), json!(format!("an example of {name}"))));
    match &task.spec.source()["schema"] {
        Value::Null => Value::Object(matched.collect()),
        schema => example(schema),
    }
}

fn decision(step: &Step) -> Option<String> {
    match &step.work {
        Some(Work::Approval(_)) => Some(format!("    - {{ approve: {} }}", step.id)),
        Some(Work::Question(question)) => {
            Some(format!("    - {{ answer: {}, {} }}", step.id, answer(question)))
        }
        _other => None,
    }
}

/// An answer that the question takes, as far as its options and items stand in the file.
fn answer(question: &Question) -> String {
    let known = |list: &Option<Template>| {
        let constant = list.as_ref().filter(|list| list.is_constant())?;
        constant.source().as_array().cloned()
    };
    let mut parts = Vec::new();
    if let Some(first) = known(&question.options).and_then(|options| options.first().cloned()) {
        parts.push(format!("choice: {}", json!(word(&first))));
    }
    let items = known(&question.items).unwrap_or_default();
    let item = |(at, item): (usize, &Value)| {
        // An item without an id is called by its place.
        let id = item.get("id").filter(|id| !id.is_null()).map_or_else(|| (at + 1).to_string(), word);
        let first = item["options"].as_array().and_then(|options| options.first());
        (id, json!(first.map_or_else(|| "an answer".to_owned(), word)))
    };
    let items: serde_json::Map<String, Value> = items.iter().enumerate().map(item).collect();
    if !items.is_empty() {
        parts.push(format!("items: {}", Value::Object(items)));
    }
    if parts.is_empty() {
        parts.push("text: an answer".to_owned());
    }
    parts.join(", ")
}

/// A text, or a number or boolean as a text.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `{ GATE: pass, … }`; nothing where no probe is asked.
fn gates(gates: &[Gate]) -> Option<String> {
    let one = |gate: &Gate| {
        let stub = match &gate.probe {
            Probe::Expression(_) => return None,
            Probe::Task(_) if gate.policy.is_none() => "pass".to_owned(),
            Probe::Task(task) => evidence(&task.kind).to_owned(),
            several => {
                let mut members = Vec::new();
                collect(several, &mut members);
                format!("{{ {} }}", members.join(", "))
            }
        };
        Some(format!("{}: {stub}", gate.id))
    };
    let stubs: Vec<String> = gates.iter().filter_map(one).collect();
    (!stubs.is_empty()).then(|| format!("{{ {} }}", stubs.join(", ")))
}

fn collect(probe: &Probe, found: &mut Vec<String>) {
    let members: Vec<&Member> = match probe {
        Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => {
            members.iter().collect()
        }
        Probe::Not(member) => vec![&**member],
        Probe::Expression(_) | Probe::Task(_) => Vec::new(),
    };
    for member in members {
        if let Probe::Task(task) = &member.probe {
            let name = member.id.clone().unwrap_or_else(|| task.kind.clone());
            let stub = if member.policy.is_some() { evidence(&task.kind) } else { "pass" };
            found.push(format!("{name}: {stub}"));
        }
        collect(&member.probe, found);
    }
}

/// Evidence to go on from, for a policy of the pipeline's own.
fn evidence(kind: &str) -> &'static str {
    match kind {
        "command" => "{ exit: 0, output: \"\" }",
        "http" => "{ status: 200, body: {} }",
        "config" => "{ exists: true, value: true }",
        "function" => "{ ok: true, output: {} }",
        _other => "{}",
    }
}

/// An input that has what the schema requires.
fn example(schema: &Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let one = |name: &str| {
        let property = &schema["properties"][name];
        let first = property["enum"].as_array().and_then(|values| values.first()).cloned();
        let value = first.or_else(|| property.get("default").cloned()).unwrap_or_else(|| {
            match property["type"].as_str() {
                Some("integer" | "number") => property.get("minimum").cloned().unwrap_or_else(|| json!(1)),
                Some("boolean") => json!(false),
                Some("array") => json!([]),
                Some("object") => json!({}),
                _text => json!(format!("an example of {name}")),
            }
        });
        (name.to_owned(), value)
    };
    Value::Object(required.map(one).collect())
}
