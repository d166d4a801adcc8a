//! Small YAML documents as values: the heads of documents, YAML files of a workspace.
//!
//! Law: a scalar keeps its text. The caller decides what it means, so `1.10` stays `1.10`, and `no` stays `no`.
//! Aliases are refused, depth and size are bounded.

use everfold_base::json::Value;
use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::Map;

const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 50_000;

/// Reads the first document; nothing at all is null.
///
/// # Errors
/// A phrase that says what is wrong, with the line.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Collection> = Vec::new();
    let mut nodes = 0;
    for item in Parser::new_from_str(text) {
        let (event, span) = item.map_err(|error| error.to_string())?;
        let at = |what: &str| format!("{what} in line {}", span.start.line());
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) => {
                open.push(Collection::List(Vec::new()));
                check(open.len(), nodes)?;
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Collection::Map(Map::new(), None));
                check(open.len(), nodes)?;
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Collection::List(items)) => Value::Array(items),
                Some(Collection::Map(fields, _)) => Value::Object(fields),
                None => return Err(at("an end without a beginning")),
            },
            Event::Alias(_) => return Err(at("an alias, which is not supported,")),
            Event::DocumentEnd | Event::StreamEnd => return Ok(Value::Null),
            _ => continue,
        };
        nodes += 1;
        check(open.len(), nodes)?;
        match open.last_mut() {
            None => return Ok(value),
            Some(Collection::List(items)) => items.push(value),
            Some(Collection::Map(_, key @ None)) => match value {
                Value::String(text) => *key = Some(text),
                Value::Null => *key = Some(String::new()),
                _ => return Err(at("a key that is no text")),
            },
            Some(Collection::Map(fields, key)) => {
                let name = key.take().unwrap_or_default();
                if fields.insert(name.clone(), value).is_some() {
                    return Err(at(&format!("the key {name} twice, again")));
                }
            }
        }
    }
    Ok(Value::Null)
}

enum Collection {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

fn check(depth: usize, nodes: usize) -> Result<(), String> {
    match (depth > DEPTH_MAX, nodes > NODES_MAX) {
        (true, _) => Err(format!("more than {DEPTH_MAX} levels")),
        (_, true) => Err(format!("more than {NODES_MAX} values")),
        _ => Ok(()),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let is_null = matches!(text, "" | "~" | "null" | "Null" | "NULL") && style == ScalarStyle::Plain;
    if is_null { Value::Null } else { Value::String(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_keep_their_text() {
        let text = "status: READY\nversion: 1.10\nok: no\nnone: ~\nempty: ''\nlist: [a, {b: 2}]\n";
        let expected = json!({"status": "READY", "version": "1.10", "ok": "no", "none": null, "empty": "",
            "list": ["a", {"b": "2"}]});
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("").unwrap(), Value::Null);
        assert_eq!(read("just text").unwrap(), json!("just text"));
    }

    #[test]
    fn row_38_a_deep_document_is_refused_however_it_is_nested() {
        for begin in ["[", "{a: ", "- ", "? ", "[{a: "] {
            assert!(read(&begin.repeat(100_000)).is_err(), "{begin}");
        }
        let indented: String = (0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(read(&indented).is_err());
    }

    #[test]
    fn what_is_broken_or_without_bounds_is_refused() {
        for text in ["a: [", "a: 1\na: 2", "a: &x 1\nb: *x", "a: b: c", "? [k]\n: v", "\t- x: ["] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(200)).is_err());
        assert!(read(&format!("[{}]", "1,".repeat(60_000))).unwrap_err().contains("50000"));
    }
}
