//! Inputs that are typed wrongly where the schema is open: what it does not name is accepted, and read by no expression.
//!
//! Law: a warning, never a refusal. Where a pipeline reads its whole input, any name may be meant.

use std::collections::BTreeSet;

use everfold_engine::definition::similar;
use serde_json::Value;

use crate::text::plain;

/// What there is to say of the fields that a person typed.
pub(super) fn warnings<'a>(
    schema: Option<&Value>,
    document: &Value,
    typed: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    // A schema that is closed refuses them.
    if schema.is_some_and(|schema| schema["additionalProperties"] == false) {
        return Vec::new();
    }
    let mut read = InputReads::default();
    read.look(document);
    let declared = schema.and_then(|schema| schema["properties"].as_object());
    read.names.extend(declared.into_iter().flatten().map(|(name, _)| name.clone()));
    let warning = |name: &str| {
        if read.names.contains(name) {
            return None;
        }
        let near = similar(name, read.names.iter().map(String::as_str)).map(plain);
        let name = plain(name);
        match near {
            Some(near) => {
                Some(format!("warning: the pipeline has no input “{name}”; did you mean “{near}”?"))
            }
            None if read.whole => None,
            None => Some(format!("warning: the pipeline has no input “{name}”, and reads it nowhere")),
        }
    };
    typed.filter_map(warning).collect()
}

/// The fields of the input that a pipeline's expressions read.
#[derive(Default)]
struct InputReads {
    names: BTreeSet<String>,
    /// `input` is read as a whole, or by a name that is computed.
    whole: bool,
}

impl InputReads {
    fn look(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.look(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.look(field)),
            _no_text => {}
        }
    }

    fn text(&mut self, text: &str) {
        const WORD: &str = "input";
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        for (at, _) in text.match_indices(WORD) {
            if text[..at].ends_with(|c: char| is_name(c) || matches!(c, '.' | '-')) {
                continue;
            }
            let rest = &text[at + WORD.len()..];
            let field = rest.strip_prefix(".?").or_else(|| rest.strip_prefix('.'));
            let name: String = match field {
                Some(field) => field.chars().take_while(|c| is_name(*c)).collect(),
                None => match rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
                    Some(quoted) => quoted.chars().take_while(|c| !matches!(c, '\'' | '"')).collect(),
                    None if rest.starts_with(is_name) => continue,
                    None => String::new(),
                },
            };
            if name.is_empty() {
                self.whole = true;
            } else {
                self.names.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warned(schema: &Value, document: &Value, typed: &str) -> Vec<String> {
        warnings(Some(schema).filter(|it| !it.is_null()), document, typed.split(','))
    }

    #[test]
    fn a_mistyped_input_is_warned_of_where_the_schema_is_open() {
        let document = json!({ "steps": [{ "command": "echo ${input.name} ${input.?note.orValue('')} ${input['size']}" }] });
        let open = json!({ "properties": { "repo": {} } });
        assert!(warned(&open, &document, "name,note,size,repo").is_empty());
        for (schema, typed, wanted) in [
            (&Value::Null, "nmae", "did you mean “name”?"),
            (&open, "rpeo", "did you mean “repo”?"),
            (&Value::Null, "colour", "reads it nowhere"),
        ] {
            let warned = warned(schema, &document, typed);
            assert!(warned.len() == 1 && warned[0].contains(wanted), "{warned:?}");
        }
        let warned_of = warned(&Value::Null, &document, "a\u{1b}[2J\u{202e}\nb");
        assert!(warned_of[0].contains("“a b”"), "it does nothing to a terminal: {warned_of:?}");
        let closed = json!({ "properties": { "repo": {} }, "additionalProperties": false });
        assert!(warned(&closed, &document, "nmae").is_empty(), "it is refused");
        let whole = json!({ "output": "${input}", "command": "echo ${input.name} ${steps.input.x}" });
        assert!(warned(&Value::Null, &whole, "colour").is_empty());
        assert_eq!(warned(&Value::Null, &whole, "nmae").len(), 1);
    }
}
