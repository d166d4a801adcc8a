//! The events of a run as they are read, for comparison with those of the run before.
//!
//! What differs from one run to the next is left out: times, ids, hashes, and whether the engine heard of
//! an attempt's beginning before it heard of its end. What happens beside each other has no order, so the
//! events of each step stand together.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The longest line of one event.
const LINE_CHARS: usize = 240;

/// A history that equal runs have equal, from lines of JSON as `everfold events --json` prints them.
/// `hidden` are texts that are other ones in every run, such as folders.
pub(crate) fn steady_history(lines: &str, hidden: &[(&str, &str)]) -> String {
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.lines() {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let mut event = envelope["event"].clone();
        let name = event["type"].as_str().unwrap().to_owned();
        // A counter answers a spend report at any time, also after the end. Notices are sent at any time as well, and
        // a newer one may replace an older one. A workspace is removed beside the end of its run.
        const LATE: [&str; 7] = [
            "AttemptStarted",
            "ChildStarted",
            "SpendReported",
            "NoticeQueued",
            "NoticeSent",
            "NoticeFailed",
            "WorkspaceRemoved",
        ];
        if LATE.contains(&name.as_str()) {
            continue;
        }
        let place = place(&event);
        event.as_object_mut().unwrap().remove("type");
        let actor = match envelope["actor"].as_str().unwrap() {
            "engine" => String::new(),
            actor => format!(" by {}", steady(actor, hidden)),
        };
        let what = cleaned(&event, hidden).map(|what| said(&what)).unwrap_or_default();
        let line: String = format!("{name}{actor}{what}").chars().take(LINE_CHARS).collect();
        sections.entry(place).or_default().push(line);
    }
    let sections = sections.into_iter().map(|(place, lines)| {
        let head = if place.is_empty() { "run".to_owned() } else { format!("step {place}") };
        format!("{head}\n  {}\n", lines.join("\n  "))
    });
    sections.collect()
}

/// The fields of an event, the short ones first.
fn said(event: &Value) -> String {
    let fields: Vec<(&String, &Value)> = event.as_object().into_iter().flatten().collect();
    let (long, short): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(_, value)| value.is_object() || value.is_array());
    let fields = short.into_iter().chain(long).map(|(name, value)| format!(" {name}={value}"));
    fields.collect()
}

/// The step, or item, that an event is about; empty for the run.
fn place(event: &Value) -> String {
    let id = [&event["id"], &event["timer"]["id"], &event["source"]["id"], &event["ids"][0]]
        .into_iter()
        .find(|id| !id.is_null());
    let path = match id {
        Some(id) => &id["path"],
        None => [&event["path"], &event["unblocked"]["path"]]
            .into_iter()
            .find(|path| !path.is_null())
            .unwrap_or(&Value::Null),
    };
    match (path["step"].as_str().or(event["step"].as_str()), path["item"].as_u64()) {
        (Some(step), Some(item)) => format!("{step}.{item:04}"),
        (Some(step), None) => step.to_owned(),
        (None, _) => String::new(),
    }
}

/// The value without what differs and what says nothing; `None` where nothing is left.
fn cleaned(value: &Value, hidden: &[(&str, &str)]) -> Option<Value> {
    const LEFT_OUT: &[&str] = &[
        "at",
        "due",
        "took_ms",
        "entropy",
        "hash",
        "definition",
        "run",
        "version",
        "recorded_to",
        "signal",
        "policy_hash",
        "evaluator",
        "base",
        "commit",
        "cwd",
        "started_at",
        "pid",
        "duration_ms",
        "elapsed_ms",
        "fetched_at",
        "size_bytes",
        "blob",
        "child",
        "admission",
        "wall_ms",
    ];
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            if let Some(attempt) = attempt_id(fields) {
                return Some(Value::String(attempt));
            }
            let is_reading = fields.contains_key("reserved_micros");
            let kept = fields.iter().filter(|(name, value)| {
                // How long a log is depends on the numbers in it.
                let is_log_seal = value.get("lost_bytes").is_some();
                let is_moment = name.ends_with("_at") || (is_reading && *name == "until");
                !LEFT_OUT.contains(&name.as_str()) && !is_moment && !is_log_seal && !name.ends_with("_us")
            });
            let kept: Map<String, Value> = kept
                .filter_map(|(name, value)| Some((steady(name, hidden), cleaned(value, hidden)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(|item| cleaned(item, hidden)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::String(text) => (!text.is_empty()).then(|| Value::String(steady(text, hidden))),
        other => Some(other.clone()),
    }
}

/// `{path, round, attempt}` as people write it.
fn attempt_id(fields: &Map<String, Value>) -> Option<String> {
    let (path, round, attempt) = (fields.get("path")?, fields.get("round")?, fields.get("attempt")?);
    let item = path["item"].as_u64().map(|item| format!(".{item}")).unwrap_or_default();
    Some(format!("{}{item}/{round}/{attempt}", path["step"].as_str()?))
}

/// A text without ids, commits and folders.
fn steady(text: &str, hidden: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (what, name) in hidden {
        text = text.replace(what, name);
    }
    let is_of_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    let (mut steady, mut word) = (String::new(), String::new());
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '-' {
            word.push(c);
            continue;
        }
        // No word of the examples is made of these letters alone.
        let is_id = word.len() >= 7 && word.chars().all(is_of_id);
        steady.push_str(if is_id { "ID" } else { &word });
        word.clear();
        if c != '\0' {
            steady.push(c);
        }
    }
    steady
}
