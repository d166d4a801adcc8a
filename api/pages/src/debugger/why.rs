//! Why an event happened: its cause, what was decided on it, and what each expression looked at.

use serde_json::Value;

use super::event::PastEvent;
use super::expression::names;
use super::looked::LookedExpression;
use super::order::ordered_by;
use super::tree::shown;
use crate::visible::visible;

/// The longest value that stands in its row, in characters.
const ROW_CHARS_MAX: usize = 200;
/// Fields that say which step an event is about, which stands above them.
const APART: [&str; 9] =
    ["type", "id", "path", "step", "round", "policy", "policy_hash", "evaluator", "evidence"];
/// Fields that answer first.
const FIRST: [&str; 10] =
    ["verdict", "decision", "reason", "message", "failure", "source", "route", "target", "comment", "output"];

/// An event that another one points at.
#[derive(Debug, Clone)]
pub(crate) struct EventLink {
    pub(crate) version: u64,
    /// What happened there.
    pub(crate) said: String,
}

/// A field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventField {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Whether it needs room.
    pub(crate) is_long: bool,
}

/// What a gate was judged by.
#[derive(Debug, Clone)]
pub(crate) struct JudgedGate {
    pub(crate) gate: String,
    pub(crate) policy: String,
    /// The kind of the policy that gates of that kind have by default.
    pub(crate) default_of: Option<String>,
    pub(crate) hash: String,
    pub(crate) evaluator: u64,
    /// What the policy's text reads, with its values.
    pub(crate) looked_at: Vec<EventField>,
    /// The evidence as a whole; empty where there was none.
    pub(crate) evidence: String,
}

/// Why an event happened.
#[derive(Debug, Clone)]
pub(crate) struct EventReasons {
    /// The event that ordered what the input reports; none: it came by itself, or long after.
    pub(crate) ordered: Option<EventLink>,
    /// The input, where this event is a decision on it and not the input itself.
    pub(crate) input: Option<EventLink>,
    /// The other events of the same decision.
    pub(crate) together: Vec<EventLink>,
    pub(crate) judged: Option<JudgedGate>,
    /// The expressions of the definition by which it came to this.
    pub(crate) looked: Vec<LookedExpression>,
    pub(crate) facts: Vec<EventField>,
    /// What of this run it led to, among the events that were read.
    pub(crate) led_to: Vec<EventLink>,
    /// The whole event.
    pub(crate) whole: String,
}

impl EventReasons {
    /// Why one of these events happened; `input` is the run's input, which policies may read.
    pub(crate) fn of(event: &PastEvent, around: &[PastEvent], input: &Value) -> Self {
        let link = |event: &PastEvent| EventLink {
            version: event.version,
            said: [event.place(), event.said()]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" · "),
        };
        let batch: Vec<&PastEvent> =
            around.iter().filter(|other| other.cause.input == event.cause.input).collect();
        let first = batch.first().filter(|first| first.version < event.version);
        let ordered = ordered_by(first.copied().unwrap_or(event), around);
        let led_to = around.iter().filter(|other| {
            other.version > event.version
                && ordered_by(other, around).is_some_and(|by| by.version == event.version)
        });
        Self {
            ordered: ordered.map(link),
            input: first.map(|first| link(first)),
            together: batch
                .iter()
                .skip(1)
                .filter(|other| other.version != event.version)
                .map(|other| link(other))
                .collect(),
            judged: judged(event, input),
            looked: Vec::new(),
            facts: facts(&event.event),
            led_to: led_to.take(6).map(link).collect(),
            whole: shown(&event.event),
        }
    }
}

fn judged(event: &PastEvent, input: &Value) -> Option<JudgedGate> {
    if event.kind() != "GateEvaluated" {
        return None;
    }
    let policy = event.text("policy").unwrap_or_default();
    let evidence = &event.event["evidence"];
    Some(JudgedGate {
        gate: event.gate().unwrap_or_default().to_owned(),
        default_of: policy.strip_prefix("default:").map(str::to_owned),
        looked_at: looked_at(policy, evidence, input),
        policy: visible(policy).into_owned(),
        hash: event.text("policy_hash").unwrap_or_default().chars().take(8).collect(),
        evaluator: event.event["evaluator"].as_u64().unwrap_or_default(),
        evidence: if evidence.is_null() { String::new() } else { shown(evidence) },
    })
}

/// What an expression's text reads of the evidence and of the run's input, with the values of then; of a default
/// policy every plain field of the evidence.
fn looked_at(policy: &str, evidence: &Value, input: &Value) -> Vec<EventField> {
    if policy.starts_with("default:") {
        let fields = evidence.as_object().into_iter().flatten();
        return fields
            .filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null())
            .map(|(name, value)| fact(&format!("evidence.{name}"), value))
            .collect();
    }
    let mut found: Vec<EventField> = Vec::new();
    for path in names(policy) {
        let root = match path[0].as_str() {
            "evidence" => evidence,
            "input" => input,
            _other => continue,
        };
        let mut value = root;
        let mut name = path[0].clone();
        for part in &path[1..] {
            // A field that is not there ends the path.
            let Some(inner) = value.get(part) else { break };
            value = inner;
            name = format!("{name}.{part}");
        }
        if !found.iter().any(|fact| fact.name == name) {
            found.push(fact(&name, value));
        }
    }
    found
}

fn facts(event: &Value) -> Vec<EventField> {
    let fields = event.as_object().into_iter().flatten();
    let wanted = fields.filter(|(name, value)| {
        !APART.contains(&name.as_str())
            && !value.is_null()
            && **value != Value::Bool(false)
            && !is_nothing(value)
    });
    let mut facts: Vec<(usize, EventField)> = wanted
        .map(|(name, value)| {
            let rank = FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
            (rank, fact(name, value))
        })
        .collect();
    facts.sort_by_key(|(rank, _)| *rank);
    facts.into_iter().map(|(_, fact)| fact).collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(|value| value.is_null() || is_nothing(value)),
        _plain => false,
    }
}

fn fact(name: &str, value: &Value) -> EventField {
    let text = shown(value);
    let is_long = text.chars().count() > ROW_CHARS_MAX || text.lines().count() > 4;
    EventField { name: name.to_owned(), value: text, is_long }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_shows_what_it_looked_at() {
        let evidence = json!({ "exit": 1, "output": { "failed": 3 } });
        let seen = looked_at(
            "evidence.exit == 0 || evidence.output.failed < int(input.max) && 'evidence.x' != ''",
            &evidence,
            &json!({ "max": 2 }),
        );
        let seen: Vec<(&str, &str)> =
            seen.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect();
        assert_eq!(seen, [("evidence.exit", "1"), ("evidence.output.failed", "3"), ("input.max", "2")]);
    }

    #[test]
    fn a_method_is_no_field() {
        let seen = looked_at("evidence.names.size() > 2", &json!({ "names": ["a"] }), &Value::Null);
        assert_eq!(seen[0].name, "evidence.names");
    }

    #[test]
    fn what_answers_first_stands_first() {
        let names: Vec<String> = facts(&json!({ "type": "GateEvaluated", "code": null, "took_ms": 4, "reason": "no", "verdict": "fail" }))
            .into_iter().map(|fact| fact.name).collect();
        assert_eq!(names, ["verdict", "reason", "took_ms"]);
    }
}
