//! Renders a canonical definition as YAML: the source of a run whose pipeline was saved without its text.

use serde_json::Value;

/// Keys in the order in which people write them; others follow by name, those behind last.
const FIRST: [&str; 6] = ["id", "name", "description", "needs", "when", "input"];
const LAST: [&str; 4] = ["gates", "steps", "on_finish", "output"];

/// The document as YAML.
pub(super) fn definition_yaml(document: &Value) -> String {
    let mut text = String::new();
    block(document, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| place(key));
            for (at, key) in keys.into_iter().enumerate() {
                // The first key stands behind the dash of its item.
                if at > 0 || !text.ends_with("- ") {
                    text.push_str(&indent);
                }
                text.push_str(&format!("{}:", scalar(key)));
                below(&fields[key], depth + 1, text);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !text.ends_with("- ") {
                    text.push_str(&indent);
                }
                text.push_str("- ");
                match item {
                    Value::Object(fields) if !fields.is_empty() => block(item, depth + 1, text),
                    Value::Array(inner) if !inner.is_empty() => block(item, depth + 1, text),
                    plain => text.push_str(&format!("{}\n", one_line(plain))),
                }
            }
        }
        plain => text.push_str(&format!("{indent}{}\n", one_line(plain))),
    }
}

/// What stands behind a key.
fn below(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, depth, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, depth, text);
        }
        Value::String(lines) if is_block(lines) => {
            let chomp = if lines.ends_with('\n') { "|" } else { "|-" };
            text.push_str(&format!(" {chomp}\n"));
            for line in lines.trim_end_matches('\n').split('\n') {
                let indent = if line.is_empty() { String::new() } else { "  ".repeat(depth) };
                text.push_str(&format!("{indent}{line}\n"));
            }
        }
        plain => text.push_str(&format!(" {}\n", one_line(plain))),
    }
}

fn place(key: &str) -> (usize, String) {
    let of = |keys: &[&str]| keys.iter().position(|known| *known == key);
    match (of(&FIRST), of(&LAST)) {
        (Some(at), _) => (at, String::new()),
        (None, Some(at)) => (FIRST.len() + 1 + at, String::new()),
        (None, None) => (FIRST.len(), key.to_owned()),
    }
}

/// Whether a text can stand as a block of lines, and is the same when it is read.
fn is_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let is_plain =
        |c: char| c == '\n' || (!c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'));
    lines.contains('\n')
        && !lines.ends_with('\n')
        && !lines.starts_with(['\n', ' '])
        && text.chars().all(is_plain)
}

fn one_line(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text as it is where that is read as the same text, else in quotes.
fn scalar(text: &str) -> String {
    let is_word =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '(' | ')' | '=');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(is_word)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use everfold_engine::definition::{outline, value_of};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_read_as_the_same_document() {
        let document = json!({
            "name": "ship it", "version": 1, "input": { "type": "object", "required": ["a b", "c"] },
            "steps": [
                { "command": "make\n\n  make check\n", "id": "build", "gates": [{ "id": "tests", "tests": {} }] },
                { "command": "echo '${input.x}' # no comment", "id": "send", "needs": ["build"], "env": {} },
                { "id": "odd", "command": " x\ny", "list": [[1, 2], [], "no", "1", null, true, 2.5, "a: b", "- c"] },
                { "id": "last", "command": "a\nb\n\n", "b": "a\tb\nc", "c": "one\ntwo" },
            ],
        });
        let text = definition_yaml(&document);
        assert_eq!(value_of(&text), Some(document), "{text}");
        let steps: Vec<String> = outline(&text).into_iter().map(|step| step.id).collect();
        assert_eq!(steps, ["build", "send", "odd", "last"], "{text}");
        assert!(text.starts_with("name: ship it\n") && text.contains("\n  - id: build\n"), "{text}");
    }
}
