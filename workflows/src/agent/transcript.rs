//! What the formats of agents' output have in common.
//!
//! Law: what is no event of the format is passed over; an event is found also where something else stands before
//! or behind it in its line. Half of a character (`\ud83d` alone), as programs that cut texts leave it, spoils no event.

use std::borrow::Cow;

use everfold_base::json::Value;
use everfold_ports::Usage;

use super::agent_error::AgentError;

/// Places of one line at which an event is looked for.
const PLACES_MAX: usize = 64;

/// What is missing in what a program says that it used up; the last one is told where there are several.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum UsageGap {
    #[default]
    None,
    /// The result does not say it, or not in numbers.
    Unread,
    /// A number cannot be.
    OutOfRange,
}

impl UsageGap {
    /// What it is of one number: what is taken of it, and whether it was there.
    pub(super) fn of<N>(taken: Option<N>, is_there: bool) -> Self {
        match (taken, is_there) {
            (Some(_), _) => Self::None,
            (None, false) => Self::Unread,
            (None, true) => Self::OutOfRange,
        }
    }
}

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
    /// What is missing in `usage`.
    pub(super) usage_gap: UsageGap,
    /// The program's own session.
    pub(super) session: Option<String>,
}

/// The events that stand in a line: objects with a `type`.
pub(super) fn events(line: &str) -> Vec<Value> {
    let line = whole_characters(line.trim().trim_start_matches('\u{feff}'));
    let line = line.as_ref();
    match serde_json::from_str::<Value>(line) {
        Ok(event) if is_event(&event) => return vec![event],
        // A program behind another one: its line came as a text.
        Ok(Value::String(inner)) => {
            return event(inner.trim()).filter(is_event).into_iter().collect();
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

/// A line that is one JSON value.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(&whole_characters(line)).ok()
}

/// The bytes of an escaped character: a backslash, `u`, and four digits.
const ESCAPE: usize = 6;

/// The text with U+FFFD in place of each escaped half of a character whose other half is missing: JSON has no value for one.
fn whole_characters(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(next) = text[at..].find('\\') {
        at += next;
        match (half(text, at), half(text, at + ESCAPE)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 2 * ESCAPE,
            (Some(_alone), _) => {
                whole.push_str(&text[copied..at]);
                whole.push_str("\\ufffd");
                at += ESCAPE;
                copied = at;
            }
            // The character behind it is escaped, whatever it is.
            (None, _) => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    whole.push_str(&text[copied..]);
    Cow::Owned(whole)
}

/// The half of a character that is escaped at a place.
fn half(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|number| is_hex && (0xd800..=0xdfff).contains(number))
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
    fn half_a_character_spoils_no_event() {
        for (escaped, read) in [
            (r"done \ud83d", "done \u{fffd}"),
            (r"\ude00\ud83d\ude00\uD83D\u0041", "\u{fffd}\u{1f600}\u{fffd}A"),
            (r"\\ud83d \\\ud83d \\", "\\ud83d \\\u{fffd} \\"),
            (r"\ud83d\n\u00e4ä", "\u{fffd}\nää"),
        ] {
            let line = format!("{{\"type\":\"result\",\"result\":\"{escaped}\",\"total_cost_usd\":0.5}}");
            for line in [format!("noise {line}"), line] {
                let found = events(&line);
                assert_eq!(found.len(), 1, "{line}");
                assert_eq!(
                    (found[0]["result"].as_str(), found[0]["total_cost_usd"].as_f64()),
                    (Some(read), Some(0.5))
                );
            }
        }
        assert!(events(r#"{"type":"a","x":"\ud83"}"#).is_empty(), "what is no JSON is none");
        assert!(event(r"\ud83").is_none() && event("\\").is_none());
    }

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
