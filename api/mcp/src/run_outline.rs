//! A run in short: what a model needs to go on.

use serde_json::{Map, Value, json};

use crate::answer::picked;
use crate::inbox_item::InboxItem;

/// The statuses of runs that have ended.
const ENDED: [&str; 3] = ["succeeded", "failed", "cancelled"];

/// Whether a run has ended.
pub(crate) fn is_ended(view: &Value) -> bool {
    view["status"].as_str().is_some_and(|status| ENDED.contains(&status))
}

/// What a run awaits of people.
pub(crate) fn awaited(view: &Value) -> Vec<InboxItem> {
    let short_id = view["short_id"].as_str().unwrap_or_default();
    let awaits = view["awaits"].as_array().into_iter().flatten();
    awaits.filter_map(|awaits| InboxItem::awaited(short_id, awaits)).collect()
}

/// A run of a list.
pub(crate) fn row(row: &Value) -> Value {
    let mut shown = picked(
        row,
        &[
            "short_id",
            "pipeline",
            "title",
            "number",
            "status",
            "labels",
            "active_steps",
            "awaits",
            "started_at",
            "ended_at",
            "set_aside",
        ],
    );
    if let Value::Object(fields) = &mut shown {
        if row["failure"].is_object() {
            fields
                .insert("failure".to_owned(), picked(&row["failure"], &["step", "kind", "code", "message"]));
        }
        if let Some(cost) = cost(row) {
            fields.insert("cost_usd".to_owned(), cost);
        }
    }
    shown
}

/// A run.
pub(crate) fn outline(view: &Value) -> Value {
    let mut shown = picked(
        view,
        &[
            "id",
            "short_id",
            "pipeline",
            "title",
            "number",
            "status",
            "version",
            "started_by",
            "started_at",
            "ended_at",
            "labels",
            "input",
            "output",
            "failure",
            "cancelled",
            "paused",
            "commit",
            "parent",
            "origin",
            "awaited_runs",
            "warnings",
            "held",
            "disk_full",
        ],
    );
    let Value::Object(fields) = &mut shown else { return shown };
    let steps = view["steps"].as_array().into_iter().flatten().map(step).collect();
    fields.insert("steps".to_owned(), Value::Array(steps));
    let items: Vec<InboxItem> = awaited(view);
    if !items.is_empty() {
        fields.insert("inbox".to_owned(), items.iter().map(InboxItem::outline).collect());
    }
    let others = view["awaits"].as_array().into_iter().flatten();
    let others: Vec<&Value> = others.filter(|it| InboxItem::awaited("", it).is_none()).collect();
    fields.insert("awaits".to_owned(), json!(others));
    if let Some(cost) = cost(view) {
        fields.insert("cost_usd".to_owned(), cost);
    }
    shown
}

/// How far a run is, in a line.
pub(crate) fn line(view: &Value) -> String {
    let status = view["status"].as_str().unwrap_or("unknown");
    let items = awaited(view);
    if let Some(item) = items.first() {
        let what = ["title", "message"].iter().find_map(|name| item.field(name).as_str()).unwrap_or_default();
        return format!("{status}: {} {} asks: {what}", item.kind(), item.id());
    }
    if let Some(message) = view["failure"]["message"].as_str() {
        return format!("{status}: {message}");
    }
    let at_work: Vec<&str> = steps_with(view, &["running"]).filter_map(|step| step["id"].as_str()).collect();
    if at_work.is_empty() { status.to_owned() } else { format!("{status}: {}", at_work.join(", ")) }
}

/// How many of a run's steps have ended, and how many it has.
pub(crate) fn steps_done(view: &Value) -> (usize, usize) {
    let done = steps_with(view, &["succeeded", "skipped", "failed", "cancelled"]).count();
    (done, view["steps"].as_array().map_or(0, Vec::len))
}

fn steps_with<'a>(view: &'a Value, statuses: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let steps = view["steps"].as_array().into_iter().flatten();
    steps.filter(move |step| step["status"].as_str().is_some_and(|status| statuses.contains(&status)))
}

fn step(step: &Value) -> Value {
    let mut shown = picked(
        step,
        &[
            "id", "kind", "status", "phase", "round", "attempt", "note", "line", "child", "model",
            "progress", "outputs",
        ],
    );
    let Value::Object(fields) = &mut shown else { return shown };
    // A step that has not begun has round 0.
    fields.retain(|_, value| *value != json!(0));
    let gates = step["gates"].as_array().into_iter().flatten();
    let gates: Vec<Value> = gates.map(|gate| picked(gate, &["gate", "verdict", "reason", "code"])).collect();
    fields.insert("gates".to_owned(), Value::Array(gates));
    if step["failure"].is_object() {
        fields.insert("failure".to_owned(), picked(&step["failure"], &["kind", "code", "message", "hint"]));
    }
    if step["items"].is_object() {
        let counts: Map<String, Value> = step["items"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.is_number())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        fields.insert("items".to_owned(), Value::Object(counts));
    }
    shown
}

fn cost(of: &Value) -> Option<Value> {
    let cost = of["usage"]["cost_usd"].as_str()?;
    cost.chars().any(|digit| ('1'..='9').contains(&digit)).then(|| json!(cost))
}
