//! What the formats of agents' output have in common.
//!
//! Law: what is no event of the format is passed over; an event is found also where something else stands before
//! or behind it in its line.

use everfold_base::json::Value;
use everfold_ports::Usage;

use super::agent_error::AgentError;

/// Places of one line at which an event is looked for.
const PLACES_MAX: usize = 64;

/// What a stream of events said.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// The answer.
    pub(super) text: Option<String>,
    /// The answer as a value, where the program checked it itself.
    pub(super) structured: Option<Value>,
    /// What the program says went wrong.
    pub(super) error: Option<AgentError>,
    /// Whether the stream came to its end.
    pub(super) complete: bool,
    pub(super) usage: Vec<Usage>,
    /// The program's own session.
    pub(super) session: Option<String>,
}

/// The events that stand in a line: objects with a `type`.
pub(super) fn events(line: &str) -> Vec<Value> {
    let line = line.trim().trim_start_matches('\u{feff}');
    match serde_json::from_str::<Value>(line) {
        Ok(event) if is_event(&event) => return vec![event],
        // A program behind another one: its line came as a text.
        Ok(Value::String(inner)) => {
            return serde_json::from_str::<Value>(inner.trim()).ok().filter(is_event).into_iter().collect();
        }
        Ok(_no_event) => return Vec::new(),
        Err(_noise) if !line.contains("\"type\"") => return Vec::new(),
        Err(_noise) => {}
    }
    let (mut found, mut at) = (Vec::new(), 0);
    for _ in 0..PLACES_MAX {
        let Some(begins) = line[at..].find('{') else { break };
        at += begins;
        let mut values = serde_json::Deserializer::from_str(&line[at..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                at += values.byte_offset();
                found.extend(Some(value).filter(is_event));
            }
            Some(Err(_)) | None => at += 1,
        }
    }
    found
}

fn is_event(value: &Value) -> bool {
    value["type"].is_string()
}

/// The first line of a text that says something, cut.
pub(super) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    line.chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_in_noise() {
        let kinds = |line: &str| -> Vec<String> {
            events(line).iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
        };
        for (line, expected) in [
            ("{\"type\":\"a\"}", vec!["a"]),
            ("\u{feff} {\"type\":\"a\"}\r", vec!["a"]),
            ("npm WARN {old} {\"type\":\"a\",\"x\":{\"type\":\"inner\"}}", vec!["a"]),
            ("\u{1b}[2K{\"type\":\"a\"}{\"type\":\"b\"} and {\"other\":1}", vec!["a", "b"]),
            ("say \\\"hi\\\" \\\\\" {\"type\":\"a\",\"result\":\"odd \\\\\\\" quotes\"} }", vec!["a"]),
            ("\"{\\\"type\\\":\\\"a\\\"}\"", vec!["a"]),
            ("{\"type\":\"a\"", vec![]),
            ("{\"type\": 7}", vec![]),
            ("[1, 2] {\"n\": 1}", vec![]),
            ("no JSON at all", vec![]),
        ] {
            assert_eq!(kinds(line), expected, "{line}");
        }
        assert!(events(&"{".repeat(100_000)).is_empty(), "and a line of braces costs little");
    }
}
