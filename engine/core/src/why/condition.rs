//! The condition by which a step did not begin, with the values that it looked at.

use everfold_base::id::StepId;
use everfold_base::json::Value;
use everfold_language::expr::{Loaded, Scope as _};
use serde_json::json;

use super::cause::{CauseKind, CauseNode, CauseSubject, LookedAt};
use crate::decide::scope::RunScope;
use crate::state::{Key, RunState};

/// Values that are shown of one condition.
const VALUES_MAX: usize = 8;
/// The longest text that is shown of a value, and of an expression.
const CHARS_MAX: usize = 120;

/// The values that the `when` of a step looks at in a state. One that is kept apart, because it is large, is not among
/// them.
#[must_use]
pub fn looked_at(state: &RunState, step: &StepId) -> Vec<LookedAt> {
    let Some(at) = state.graph.find(step) else { return Vec::new() };
    let Some(when) = &state.graph.step(at).when else { return Vec::new() };
    let none = Loaded::default();
    let scope = RunScope::of(state, &none, Key::step(at));
    let mut found: Vec<LookedAt> = Vec::new();
    for chain in when.chains() {
        let name = chain.path.join(".");
        if found.iter().any(|known| known.name == name) {
            continue;
        }
        let parts: Vec<&str> = chain.path.iter().map(String::as_str).collect();
        let rooted = match parts[0] {
            "steps" => 3,
            "run" => 2,
            _other => 1,
        };
        let (root, rest) = parts.split_at(rooted.min(parts.len()));
        let Ok(Some(mut value)) = scope.get(root) else { continue };
        for part in rest {
            value = value.get(*part).cloned().unwrap_or_default();
        }
        found.push(LookedAt { name, value: briefly(&value) });
        if found.len() == VALUES_MAX {
            break;
        }
    }
    found
}

/// Why the condition of a step was false: what it says, and the values.
#[must_use]
pub fn of_condition(state: &RunState, step: &StepId) -> CauseNode {
    let at = state.graph.find(step);
    let when = at.and_then(|at| state.graph.step(at).when.as_ref()).map_or("", |when| when.source());
    let values = looked_at(state, step);
    let said: Vec<String> = values.iter().map(|seen| format!("{} was {}", seen.name, seen.value)).collect();
    let values_said = if said.is_empty() { String::new() } else { format!(", where {}", said.join(", ")) };
    let sentence = format!("its `when` was false: {}{values_said}", clipped(when));
    let subject = CauseSubject { step: Some(step.to_string()), ..CauseSubject::default() };
    CauseNode { values, ..CauseNode::new(CauseKind::Condition, subject, sentence) }
}

/// A value with long texts cut; of lists and maps how large they are, where they are long.
pub(super) fn briefly(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clipped(text)),
        Value::Array(items) if value.to_string().len() > CHARS_MAX => json!(format!("{} items", items.len())),
        Value::Object(fields) if value.to_string().len() > CHARS_MAX => {
            json!(format!("{} fields", fields.len()))
        }
        other => other.clone(),
    }
}

/// A text in one line, cut where it is long.
pub(super) fn clipped(text: &str) -> String {
    let text = everfold_base::text::one_line(text);
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
