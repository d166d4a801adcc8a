//! Fields made of a schema.
//!
//! Law: a form has at most [`FIELDS_MAX`] fields, however often a schema names itself; what has no field is written as JSON.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::field::{FieldKind, ItemKind, ROOT, SchemaChoice, SchemaField};
use super::pattern;

/// Objects deeper than this are written as JSON.
const DEPTH_MAX: usize = 4;
/// Fields of one form.
const FIELDS_MAX: usize = 200;
/// References that are followed in a row.
const REFERENCES_MAX: usize = 16;
/// Texts that may be longer than this get a box.
const LINE_CHARACTERS_MAX: u64 = 200;

/// A place in the schema, and in the form.
#[derive(Clone, Copy)]
struct FieldPlace<'a> {
    /// The whole schema, which references name parts of.
    whole: &'a Value,
    /// How many more fields the form may get.
    left: &'a Cell<usize>,
    name: &'a str,
    path: &'a str,
    depth: usize,
    is_required: bool,
    /// Whether everything around it must be there.
    is_needed: bool,
}

/// The whole input as one field, usually a group.
pub(super) fn root(schema: &Value, input: Option<&Value>) -> SchemaField {
    let left = Cell::new(FIELDS_MAX);
    let place = FieldPlace {
        whole: schema,
        left: &left,
        name: ROOT,
        path: ROOT,
        depth: 0,
        is_required: true,
        is_needed: true,
    };
    let mut root = field(place, "Input", schema, input);
    if matches!(root.kind, FieldKind::Json) {
        root.must_be_filled = false;
    }
    root
}

fn field(place: FieldPlace<'_>, key: &str, schema: &Value, value: Option<&Value>) -> SchemaField {
    let schema = resolved(place.whole, schema);
    let text = |name: &str| schema.get(name).and_then(Value::as_str).map(str::to_owned);
    let default = schema.get("default");
    let shown = value.or(default);
    let mut field = SchemaField {
        name: place.name.to_owned(),
        path: place.path.to_owned(),
        key: key.to_owned(),
        label: text("title").unwrap_or_else(|| key.to_owned()),
        description: text("description").filter(|text| !text.trim().is_empty()),
        is_required: place.is_required,
        default: default
            .map(|default| brief(&crate::words::json(default)))
            .filter(|default| !default.is_empty()),
        was_given: value.is_some(),
        ..SchemaField::default()
    };
    field.kind = kind(place, schema, shown);
    field.limits = limits(schema, &field.kind);
    field.text = shown.map(|value| text_of(&field.kind, value)).unwrap_or_default();
    // A text that may be empty may be left so.
    let may_be_blank = match &field.kind {
        FieldKind::Line { pattern, min, .. } => {
            min.is_none_or(|min| min == 0) && pattern.is_none() && field.was_given
        }
        FieldKind::Text { min, .. } => min.is_none_or(|min| min == 0) && field.was_given,
        FieldKind::Lines(_) | FieldKind::Others => true,
        _other => false,
    };
    field.must_be_filled = place.is_needed && place.is_required && !may_be_blank;
    field.first_text.clone_from(&field.text);
    field
}

/// The schema itself, behind its references.
fn resolved<'a>(whole: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { break };
        let Some(target) = reference.strip_prefix('#').and_then(|pointer| whole.pointer(pointer)) else {
            break;
        };
        schema = target;
    }
    schema
}

fn kind(place: FieldPlace<'_>, schema: &Value, value: Option<&Value>) -> FieldKind {
    if let Some(fixed) = schema.get("const") {
        return match place.is_required {
            true => FieldKind::Fixed(fixed.clone()),
            false => FieldKind::Choice(vec![choice(fixed, None)]),
        };
    }
    if let Some(choices) = choices(schema) {
        return if value.is_none_or(|value| is_choice(&choices, value)) {
            FieldKind::Choice(choices)
        } else {
            FieldKind::Json
        };
    }
    let has_default = schema.get("default").is_some();
    let made = match type_of(schema) {
        "string" => text_kind(schema, value),
        "integer" => number_kind(schema, true),
        "number" => number_kind(schema, false),
        "boolean" if place.is_required || has_default => FieldKind::Flag,
        "boolean" => FieldKind::Choice(
            [(true, "yes"), (false, "no")].map(|(value, word)| choice(&value.into(), Some(word))).to_vec(),
        ),
        "array" => item_kind(place.whole, schema).map_or(FieldKind::Json, FieldKind::Lines),
        "object" if place.depth < DEPTH_MAX => group(place, schema, value).unwrap_or_default(),
        _other => FieldKind::Json,
    };
    if value.is_none_or(|value| fits(&made, value)) { made } else { FieldKind::Json }
}

/// The one type of a value beside null; empty: several, or none is named.
fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            match (names.next(), names.next()) {
                (Some(name), None) => name,
                _several => "",
            }
        }
        _none if schema.get("properties").is_some() => "object",
        _none => "",
    }
}

fn choice(value: &Value, label: Option<&str>) -> SchemaChoice {
    let label = label.map_or_else(|| crate::words::json(value), str::to_owned);
    SchemaChoice { json: value.to_string(), label }
}

/// The values of an `enum`, or of a `oneOf` in which each schema is a `const`.
fn choices(schema: &Value) -> Option<Vec<SchemaChoice>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().map(|value| choice(value, None)).collect());
    }
    let of_const = |schema: &Value| {
        let title = schema.get("title").and_then(Value::as_str);
        schema.get("const").map(|value| choice(value, title))
    };
    schema.get("oneOf").and_then(Value::as_array)?.iter().map(of_const).collect()
}

fn is_choice(choices: &[SchemaChoice], value: &Value) -> bool {
    let json = value.to_string();
    choices.iter().any(|choice| choice.json == json)
}

fn text_kind(schema: &Value, value: Option<&Value>) -> FieldKind {
    let (min, max) = (whole(schema, "minLength"), whole(schema, "maxLength"));
    let of = match schema.get("format").and_then(Value::as_str) {
        Some("email") => "email",
        Some("date") => "date",
        Some("uri") => "url",
        Some(_other_format) => "text",
        None => "",
    };
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let has_lines = value.and_then(Value::as_str).is_some_and(|text| text.contains(['\n', '\r']));
    let is_short = max.is_some_and(|max| max <= LINE_CHARACTERS_MAX);
    if has_lines || (of.is_empty() && pattern.is_none() && !is_short) {
        return FieldKind::Text { min, max };
    }
    let of = if of.is_empty() { "text" } else { of };
    FieldKind::Line { of, pattern: pattern.and_then(pattern::html), min, max }
}

fn number_kind(schema: &Value, is_whole: bool) -> FieldKind {
    let bound = |name: &str, strict: &str, beyond: i64| {
        let written = schema.get(name).or_else(|| schema.get(strict)).filter(|bound| bound.is_number())?;
        match written.as_i64() {
            // Past a strict bound there is the next whole number; of fractions HTML knows no strict bounds.
            Some(number) if is_whole && schema.get(name).is_none() => {
                Some(number.saturating_add(beyond).to_string())
            }
            Some(number) => Some(number.to_string()),
            None if is_whole => None,
            None => Some(written.to_string()),
        }
    };
    FieldKind::Number {
        is_whole,
        min: bound("minimum", "exclusiveMinimum", 1),
        max: bound("maximum", "exclusiveMaximum", -1),
    }
}

fn item_kind(whole: &Value, schema: &Value) -> Option<ItemKind> {
    if schema.get("prefixItems").is_some() {
        return None;
    }
    let item = resolved(whole, schema.get("items")?);
    if ["oneOf", "anyOf", "allOf", "const"].iter().any(|keyword| item.get(keyword).is_some()) {
        return None;
    }
    match type_of(item) {
        "string" => Some(ItemKind::Text),
        "integer" => Some(ItemKind::Whole),
        "number" => Some(ItemKind::Number),
        "boolean" => Some(ItemKind::Flag),
        _other => None,
    }
}

/// The fields of an object: those that it must have first. None: its schema names none, or more than the form has room
/// for; of the whole input those that fit are shown, and the others are written as JSON.
fn group(place: FieldPlace<'_>, schema: &Value, value: Option<&Value>) -> Option<FieldKind> {
    let properties = schema.get("properties").and_then(Value::as_object)?;
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_required = |key: &String| required.contains(&key.as_str());
    let mut shown: Vec<(&String, &Value)> = properties.iter().collect();
    shown.sort_by_key(|(key, _)| !is_required(key));
    if shown.len() > place.left.get() && place.depth > 0 {
        return None;
    }
    shown.truncate(place.left.get());
    place.left.set(place.left.get() - shown.len());
    let mut fields: Vec<SchemaField> = shown
        .iter()
        .map(|(key, inner)| {
            let name = format!("{}/{}", place.name, key.replace('~', "~0").replace('/', "~1"));
            let path = format!("{}.{key}", place.path);
            let inner_place = FieldPlace {
                name: &name,
                path: &path,
                depth: place.depth + 1,
                is_required: is_required(key),
                is_needed: place.is_needed && place.is_required,
                ..place
            };
            field(inner_place, key, inner, value.and_then(|value| value.get(key)))
        })
        .collect();
    let others = others_of(&shown, value);
    let takes_others = shown.len() < properties.len()
        || schema.get("additionalProperties").is_some_and(|others| *others != Value::Bool(false))
        || schema.get("patternProperties").is_some();
    if takes_others || !others.is_empty() {
        fields.push(others_field(place, others));
    }
    Some(FieldKind::Group(fields))
}

/// What a value has beside the fields that are shown.
fn others_of(shown: &[(&String, &Value)], value: Option<&Value>) -> Map<String, Value> {
    let fields = value.and_then(Value::as_object).into_iter().flatten();
    let others = fields.filter(|(key, _)| !shown.iter().any(|(known, _)| known == key));
    others.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn others_field(place: FieldPlace<'_>, others: Map<String, Value>) -> SchemaField {
    let text = if others.is_empty() { String::new() } else { crate::words::json(&others.into()) };
    SchemaField {
        // No JSON pointer ends so, and no field is called like this.
        name: format!("{}/~", place.name),
        path: format!("{}.~", place.path),
        key: "~".to_owned(),
        label: "Further fields".to_owned(),
        description: Some("a map, as JSON".to_owned()),
        kind: FieldKind::Others,
        first_text: text.clone(),
        text,
        ..SchemaField::default()
    }
}

/// Whether a value can be shown in a field of this kind and comes back as it was.
fn fits(kind: &FieldKind, value: &Value) -> bool {
    match kind {
        FieldKind::Line { .. } => value.as_str().is_some_and(|text| !text.contains(['\n', '\r'])),
        FieldKind::Text { .. } => value.as_str().is_some_and(|text| !text.contains('\r')),
        FieldKind::Number { is_whole, .. } => {
            if *is_whole {
                is_whole_number(value)
            } else {
                value.is_number()
            }
        }
        FieldKind::Flag => value.is_boolean(),
        FieldKind::Choice(choices) => is_choice(choices, value),
        FieldKind::Lines(of) => {
            value.as_array().is_some_and(|items| items.iter().all(|item| fits_line(*of, item)))
        }
        FieldKind::Group(_) | FieldKind::Others => value.is_object(),
        FieldKind::Fixed(_) | FieldKind::Json => true,
    }
}

fn fits_line(of: ItemKind, item: &Value) -> bool {
    match of {
        ItemKind::Text => {
            item.as_str().is_some_and(|text| !text.trim().is_empty() && !text.contains(['\n', '\r']))
        }
        ItemKind::Whole => is_whole_number(item),
        ItemKind::Number => item.is_number(),
        ItemKind::Flag => item.is_boolean(),
    }
}

fn is_whole_number(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

/// What stands in a field that has a value.
fn text_of(kind: &FieldKind, value: &Value) -> String {
    match kind {
        FieldKind::Line { .. } | FieldKind::Text { .. } => value.as_str().unwrap_or_default().to_owned(),
        FieldKind::Number { .. } | FieldKind::Choice(_) => value.to_string(),
        FieldKind::Flag => {
            if value == &Value::Bool(true) {
                "true".to_owned()
            } else {
                String::new()
            }
        }
        FieldKind::Lines(_) => {
            let lines = value.as_array().into_iter().flatten().map(crate::words::json);
            lines.collect::<Vec<_>>().join("\n")
        }
        FieldKind::Fixed(value) => crate::words::json(value),
        FieldKind::Group(_) => String::new(),
        FieldKind::Json | FieldKind::Others => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

/// What may stand in a field, for readers.
fn limits(schema: &Value, kind: &FieldKind) -> Option<String> {
    let said = |name: &str| schema.get(name).filter(|value| !value.is_null()).map(crate::words::json);
    let between = |min: Option<String>, max: Option<String>, unit: &str| match (min, max) {
        (Some(min), Some(max)) => Some(format!("{min} to {max}{unit}")),
        (Some(min), None) => Some(format!("at least {min}{unit}")),
        (None, Some(max)) => Some(format!("at most {max}{unit}")),
        (None, None) => None,
    };
    let mut parts = Vec::new();
    match kind {
        FieldKind::Line { min, max, .. } | FieldKind::Text { min, max } => {
            // That it must be there at all is said by its mark.
            let min = min.filter(|min| *min > 1).map(|min| min.to_string());
            parts.extend(between(min, max.map(|max| max.to_string()), " characters"));
            parts.extend(said("pattern").map(|pattern| format!("fits {pattern}")));
            parts.extend(said("format"));
        }
        FieldKind::Number { is_whole, min, max } => {
            parts.extend(is_whole.then(|| "a whole number".to_owned()));
            // Of fractions the field itself knows no strict bounds.
            let strict =
                |name: &str, plain: &str| said(name).filter(|_| !is_whole && schema.get(plain).is_none());
            let above = strict("exclusiveMinimum", "minimum");
            let below = strict("exclusiveMaximum", "maximum");
            let (min, max) =
                (min.clone().filter(|_| above.is_none()), max.clone().filter(|_| below.is_none()));
            parts.extend(above.map(|above| format!("above {above}")));
            parts.extend(between(min, max, ""));
            parts.extend(below.map(|below| format!("below {below}")));
            parts.extend(said("multipleOf").map(|step| format!("a multiple of {step}")));
        }
        FieldKind::Lines(_) => {
            parts.push("one a line".to_owned());
            let (min, max) = (said("minItems"), said("maxItems"));
            let unit = if max.as_ref().or(min.as_ref()).is_some_and(|count| count == "1") {
                " line"
            } else {
                " lines"
            };
            parts.extend(between(min, max, unit));
        }
        FieldKind::Json => parts.push("JSON".to_owned()),
        _other => {}
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn whole(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

/// A text of at most 60 line in one line.
fn brief(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 60 {
        line = line.chars().take(59).chain(['…']).collect();
    }
    line
}
