//! How a line is written.
//!
//! Law: one event is one line, whatever is in it: line breaks and control characters are escaped. What says where
//! it comes from (`run`, `step`, `request`, …) comes first.

use clap::ValueEnum;
use everfold_engine::id::RunId;
use everfold_engine::text::is_direction;
use serde_json::{Map, Value, json};
use tracing::Level;

/// What lines look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// One line of words.
    #[default]
    Text,
    /// One JSON document per line.
    Json,
}

/// What says where a line comes from, in this order.
const PLACE: [&str; 8] = ["request", "run", "step", "round", "attempt", "gate", "notice", "subscription"];
/// What the bridge from the crate `log`, by which sled writes, says of a line's place in a library's source: it means nothing to
/// who reads lines here, and names folders of the machine that built the program.
const SOURCE: [&str; 3] = ["log.file", "log.line", "log.module_path"];
/// Where such a line comes from.
const LIBRARY: &str = "log.target";
/// The longest text in a line, in bytes: a service may answer with a whole page.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// Names and values of a line, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// Adds a field; the innermost of a name counts. A run goes by its short id.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        if SOURCE.contains(&name) {
            return;
        }
        let value = match (name, &value) {
            ("run", Value::String(text)) => {
                text.parse::<RunId>().map_or_else(|_| value.clone(), |run| json!(run.short()))
            }
            (_, Value::String(text)) => json!(cut(text)),
            _other => value,
        };
        self.0.insert(name.to_owned(), value);
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// The library that wrote the line, where it came by the crate `log`.
    pub(super) fn take_library(&mut self) -> Option<String> {
        self.take(LIBRARY).map(|library| plain(&library))
    }
}

/// `18:20:09.603 WARN  run=3b2cabce step=build  a notice was not sent tries=1`.
pub(super) fn text(at: &str, level: Level, fields: Fields) -> String {
    let mut fields = fields;
    let message = fields.take("message").map(|message| plain(&message)).unwrap_or_default();
    let time = at.get(11..23).unwrap_or(at);
    let mut line = format!("{time} {level:<5}");
    for name in PLACE {
        if let Some(value) = fields.take(name) {
            line.push_str(&format!(" {name}={}", word(&value)));
        }
    }
    line.push_str("  ");
    line.push_str(&message);
    for (name, value) in &fields.0 {
        line.push_str(&format!(" {name}={}", word(value)));
    }
    line.push('\n');
    line
}

/// `{"at": …, "level": "warn", "message": …, "run": …, …}`; a field that is called like one of the first four has
/// `_` behind its name.
pub(super) fn json(at: &str, level: Level, target: &str, mut fields: Fields) -> String {
    let message = fields.take("message").unwrap_or(Value::Null);
    let mut line = Map::new();
    line.insert("at".to_owned(), json!(at));
    line.insert("level".to_owned(), json!(level.as_str().to_ascii_lowercase()));
    line.insert("message".to_owned(), message);
    line.insert("target".to_owned(), json!(target));
    let named: Vec<(String, Value)> =
        PLACE.iter().filter_map(|name| Some(((*name).to_owned(), fields.take(name)?))).collect();
    for (name, value) in named.into_iter().chain(fields.0) {
        let name = if line.contains_key(&name) { format!("{name}_") } else { name };
        line.insert(name, value);
    }
    Value::Object(line).to_string() + "\n"
}

/// A value as it stands behind `name=`.
fn word(value: &Value) -> String {
    let text = plain(value);
    let is_plain = !text.is_empty() && !text.contains([' ', '"', '=']);
    if is_plain { text } else { format!("\"{}\"", text.replace('"', "'")) }
}

/// A value in one line.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.contains(|c: char| c.is_control() || is_direction(c)) {
        true => text.chars().flat_map(escaped).collect(),
        false => text,
    }
}

fn escaped(c: char) -> Vec<char> {
    if c.is_control() || is_direction(c) { c.escape_default().collect() } else { vec![c] }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let mut fields = Fields::default();
        fields.put("tries", json!(3));
        fields.put("run", json!("01a1fa2f-f5d5-78ae-aca8-81563b2cabce"));
        fields.put("message", json!("not sent:\nno \"answer\""));
        fields.put("step", json!("build.2"));
        fields.put("why", json!("a b"));
        fields
    }

    #[test]
    fn a_line_says_first_where_it_comes_from_and_stays_one_line() {
        assert_eq!(
            text("2026-11-20T18:20:09.603Z", Level::WARN, fields()),
            "18:20:09.603 WARN  run=3b2cabce step=build.2  not sent:\\nno \"answer\" tries=3 why=\"a b\"\n"
        );
        let line = json("2026-11-20T18:20:09.603Z", Level::WARN, "everfold_engine", fields());
        assert_eq!(line.matches('\n').count(), 1);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            line,
            json!({
                "at": "2026-11-20T18:20:09.603Z", "level": "warn", "message": "not sent:\nno \"answer\"",
                "target": "everfold_engine", "run": "3b2cabce", "step": "build.2", "tries": 3, "why": "a b",
            })
        );
    }

    #[test]
    fn long_texts_are_cut_and_control_characters_never_reach_a_terminal() {
        let mut fields = Fields::default();
        fields.put("message", json!("é".repeat(9_000)));
        fields.put("name", json!("\u{1b}[31mred"));
        let line = text("2026-11-20T18:20:09.603Z", Level::ERROR, fields);
        assert!(line.len() < 5_000 && !line.contains('\u{1b}'), "{line}");
    }
}
