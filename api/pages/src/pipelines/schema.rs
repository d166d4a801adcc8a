//! The input of a pipeline as a table: its JSON Schema in words.

use serde_json::Value;

/// As deep as fields within fields are listed.
const DEPTH_MAX: usize = 4;
/// As many choices are written out.
const CHOICES_MAX: usize = 12;

/// A field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputRow {
    /// With the names of the fields that it is in: `repo.branch`.
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) is_required: bool,
    pub(crate) default: Option<String>,
    pub(crate) description: String,
    /// What it must fulfil beside its kind.
    pub(crate) limits: String,
}

/// The fields of a schema, those within others behind them.
pub(crate) fn rows(schema: &Value) -> Vec<InputRow> {
    let mut rows = Vec::new();
    add_fields(schema, "", DEPTH_MAX, &mut rows);
    rows
}

fn add_fields(schema: &Value, within: &str, depth: usize, rows: &mut Vec<InputRow>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // What must be given is read first.
    let (first, rest): (Vec<_>, Vec<_>) =
        properties.iter().partition(|(name, _)| required.contains(&name.as_str()));
    for (name, field) in first.into_iter().chain(rest) {
        let full = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
        rows.push(InputRow {
            kind: kind(field),
            is_required: required.contains(&name.as_str()),
            default: field.get("default").map(Value::to_string),
            description: description(field),
            limits: limits(field),
            name: full.clone(),
        });
        if depth > 1 {
            add_fields(field, &full, depth - 1, rows);
        }
    }
}

fn description(field: &Value) -> String {
    let text = |name: &str| field.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("title"), text("description")) {
        (title, "") => title.to_owned(),
        (_, description) => description.to_owned(),
    }
}

fn kind(field: &Value) -> String {
    if let Some(choices) = field.get("enum").and_then(Value::as_array) {
        let mut words: Vec<String> = choices.iter().take(CHOICES_MAX).map(choice).collect();
        if choices.len() > CHOICES_MAX {
            words.push(format!("and {} more", choices.len() - CHOICES_MAX));
        }
        return words.join(" | ");
    }
    let of_items = |items: &Value| format!("list of {}", kind(items));
    match field.get("type") {
        Some(Value::String(word)) if word == "array" => {
            field.get("items").map_or_else(|| "list".to_owned(), of_items)
        }
        Some(Value::String(word)) => word.clone(),
        Some(Value::Array(words)) => words.iter().map(choice).collect::<Vec<_>>().join(" or "),
        _ => match field.get("const") {
            Some(value) => choice(value),
            None => "anything".to_owned(),
        },
    }
}

fn choice(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn limits(field: &Value) -> String {
    let number = |name: &str| field.get(name).filter(|value| value.is_number()).map(Value::to_string);
    let mut words = Vec::new();
    let ranges = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ];
    for (least, most, unit) in ranges {
        match (number(least), number(most)) {
            (Some(least), Some(most)) => words.push(format!("{least} to {most}{unit}")),
            (Some(least), None) => words.push(format!("at least {least}{unit}")),
            (None, Some(most)) => words.push(format!("at most {most}{unit}")),
            (None, None) => {}
        }
    }
    if let Some(above) = number("exclusiveMinimum") {
        words.push(format!("more than {above}"));
    }
    if let Some(below) = number("exclusiveMaximum") {
        words.push(format!("less than {below}"));
    }
    for (name, word) in [("pattern", "like"), ("format", "a")] {
        if let Some(text) = field.get(name).and_then(Value::as_str) {
            words.push(format!("{word} {text}"));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn required_fields_come_first_and_inner_ones_behind_their_own() {
        let schema = json!({
            "properties": {
                "loud": { "type": "boolean", "default": false },
                "name": { "type": "string", "title": "Name", "minLength": 1, "maxLength": 80 },
                "repo": { "type": "object", "properties": { "branch": { "type": ["string", "null"] } } },
                "tone": { "enum": ["warm", 3] },
                "parts": { "type": "array", "items": { "type": "integer" }, "minItems": 1 },
            },
            "required": ["name"],
        });
        let rows = rows(&schema);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["name", "loud", "parts", "repo", "repo.branch", "tone"]);
        assert_eq!((rows[0].is_required, rows[0].limits.as_str()), (true, "1 to 80 characters"));
        assert_eq!(rows[0].description, "Name");
        assert_eq!(rows[1].default.as_deref(), Some("false"));
        assert_eq!((rows[2].kind.as_str(), rows[2].limits.as_str()), ("list of integer", "at least 1 items"));
        assert_eq!((rows[4].kind.as_str(), rows[5].kind.as_str()), ("string or null", "warm | 3"));
    }

    #[test]
    fn a_schema_that_names_no_field_has_no_rows() {
        assert!(rows(&json!({})).is_empty());
        assert!(rows(&Value::Null).is_empty());
    }
}
