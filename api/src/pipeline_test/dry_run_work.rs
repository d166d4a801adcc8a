//! What work and probes would be asked, in one line.

use everfold_engine::definition::ExecutorTask;
use everfold_engine::json::Value;

use crate::text::quoted;

/// What work is asked.
pub(super) fn work(kind: &str, spec: &Value, env: &Value) -> String {
    let text = |key: &str| spec[key].as_str().unwrap_or_default();
    let line = match kind {
        ExecutorTask::COMMAND => command(spec),
        ExecutorTask::AGENT => {
            let who = [text("profile"), text("role"), text("model")];
            let who: Vec<&str> = who.into_iter().filter(|word| !word.is_empty()).collect();
            let who = if who.is_empty() { String::new() } else { format!("{}: ", who.join(", ")) };
            format!("{who}{}", text("prompt"))
        }
        ExecutorTask::FUNCTION => format!("{}{}", text("name"), given(&spec["with"])),
        ExecutorTask::HTTP => format!("{} {}{}", text("method"), text("url"), given(&spec["body"])),
        ExecutorTask::RUN => format!("{}{}", text("pipeline"), given(&spec["input"])),
        ExecutorTask::SIGNAL => format!("“{}” to {}{}", text("name"), spec["to"], given(&spec["payload"])),
        _other => spec.to_string(),
    };
    match env.as_object().filter(|env| !env.is_empty()) {
        Some(env) => {
            let names: Vec<&str> = env.keys().map(String::as_str).collect();
            format!("{line}  (env: {})", names.join(", "))
        }
        None => line,
    }
}

/// What a probe looks at.
pub(super) fn probe(kind: &str, spec: &Value) -> String {
    match kind {
        "command" => command(spec),
        "http" => format!(
            "{} {}",
            spec["method"].as_str().unwrap_or("GET"),
            spec["url"].as_str().unwrap_or_default()
        ),
        _other => format!("{kind}{}", given(spec)),
    }
}

fn given(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        value => format!(" {value}"),
    }
}

/// The words of a command, or its shell text with the values in it.
fn command(spec: &Value) -> String {
    if let Some(words) = spec["argv"].as_array() {
        let words: Vec<String> =
            words.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), word)).collect();
        return words.join(" ");
    }
    let mut shell = spec["shell"].as_str().unwrap_or_default().to_owned();
    for (name, value) in spec["vars"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        shell = shell
            .replace(&format!("\"${{{name}}}\""), &word(&value))
            .replace(&format!("${{{name}}}"), &value);
    }
    shell
}

/// A word of a shell; a made-up one needs no quotes, since nothing runs it.
fn word(value: &str) -> String {
    if value.starts_with('‹') && value.ends_with('›') { value.to_owned() } else { quoted(value) }
}
