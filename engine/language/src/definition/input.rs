//! A run's input: JSON Schema 2020-12, with places and hints.
//!
//! Law: nothing is fetched, patterns run in linear time, formats are checked. Where the schema gives
//! a `default` for a property that is missing, it is filled in before the check: the run then sees it
//! like a given value. Only `properties` are followed, also inside `items`; a `default` anywhere else
//! is a remark for readers.

use everfold_base::json::strict;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::similar::similar;

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InputProblem {
    /// Where: `input`, `input.repo`, `input.platforms[2]`.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to give instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Most problems of one input that are reported.
const PROBLEMS_MAX: usize = 50;
/// Defaults of one schema that are looked at.
const DEFAULTS_MAX: usize = 1_000;
/// Schemas and inputs are followed so deep when defaults are filled in.
const DEPTH_MAX: usize = 64;

/// A compiled schema; worth keeping where many inputs are checked.
#[derive(Debug)]
pub struct Checker {
    schema: Value,
    validator: Validator,
}

impl Checker {
    /// Compiles a schema.
    ///
    /// # Errors
    /// Why it is none, with the JSON pointer of the place in it.
    pub fn new(schema: &Value) -> Result<Self, (String, String)> {
        let validator = options()
            .build(schema)
            .map_err(|error| (error.instance_path().to_string(), shorten(&error.to_string())))?;
        Ok(Self { schema: schema.clone(), validator })
    }

    /// Fills in defaults and checks.
    ///
    /// # Errors
    /// Every problem, at most 50.
    pub fn check(&self, input: &Value) -> Result<Value, Vec<InputProblem>> {
        let mut input = input.clone();
        if input.is_null() && self.schema.get("type") == Some(&json!("object")) {
            input = json!({});
        }
        fill(&self.schema, &self.schema, &mut input, 0);
        let problems: Vec<InputProblem> = self
            .validator
            .iter_errors(&input)
            .take(PROBLEMS_MAX)
            .map(|error| problem(&self.schema, &error))
            .collect();
        if problems.is_empty() { Ok(input) } else { Err(problems) }
    }
}

fn options() -> jsonschema::ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20).dfa_size_limit(1 << 20))
}

/// Fills in defaults and checks an input against a schema.
///
/// # Errors
/// Every problem, at most 50; a schema that does not compile is one.
pub fn check(schema: &Value, input: &Value) -> Result<Value, Vec<InputProblem>> {
    let checker = Checker::new(schema).map_err(|(_, message)| {
        vec![InputProblem {
            path: "input".into(),
            message: format!("the schema is none: {message}"),
            hint: None,
        }]
    })?;
    checker.check(input)
}

/// What is wrong with a schema itself: JSON pointers and messages.
pub(super) fn check_schema(schema: &Value) -> Vec<(String, String)> {
    let meta: Vec<(String, String)> = jsonschema::draft202012::meta::validator()
        .iter_errors(schema)
        .take(PROBLEMS_MAX)
        .map(|error| (error.instance_path().to_string(), shorten(&error.to_string())))
        .collect();
    if !meta.is_empty() {
        return meta;
    }
    match options().build(schema) {
        Ok(_) => Vec::new(),
        Err(error) => vec![(error.instance_path().to_string(), shorten(&error.to_string()))],
    }
}

/// The defaults that a schema fills in and does not take itself: the JSON pointer of each in the schema, and what
/// is wrong with it. Looked at is what is filled in: properties, also of properties.
pub(super) fn check_defaults(schema: &Value) -> Vec<(String, String)> {
    let Ok(validator) = options().build(schema) else { return Vec::new() };
    let mut defaults = Vec::new();
    collect_defaults(schema, schema, &mut Vec::new(), String::new(), &mut defaults);
    let mut problems = Vec::new();
    for FilledIn { names, pointer, value } in defaults {
        let place: String =
            names.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
        let instance = names.iter().rev().fold(value, |inner, name| json!({ name.as_str(): inner }));
        let own = |error: &ValidationError<'_>| {
            let at = error.instance_path().to_string();
            at == place || at.strip_prefix(&place).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(error) = validator.iter_errors(&instance).find(own) {
            let problem = problem(schema, &error);
            problems.push((pointer, format!("{}: {}", problem.path, problem.message)));
        }
    }
    problems
}

/// A default of a schema: of which property, where it stands, what it is.
struct FilledIn {
    names: Vec<String>,
    pointer: String,
    value: Value,
}

fn collect_defaults(
    root: &Value,
    schema: &Value,
    names: &mut Vec<String>,
    pointer: String,
    found: &mut Vec<FilledIn>,
) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if names.len() >= DEPTH_MAX || found.len() >= DEFAULTS_MAX {
        return;
    }
    for (name, property) in properties {
        let key = name.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{pointer}/properties/{key}");
        names.push(name.clone());
        let target = local_reference(root, property);
        if let Some(default) = target.unwrap_or(property).get("default").or(property.get("default")) {
            found.push(FilledIn { names: names.clone(), pointer: pointer.clone(), value: default.clone() });
        }
        // What a reference names may name itself: only what stands here is followed.
        if target.is_none() {
            collect_defaults(root, property, names, pointer, found);
        }
        names.pop();
    }
}

/// The input that `-i KEY=VALUE` pairs say: text where the schema says string, else JSON where it
/// parses as JSON, else text. A repeated key takes its last value.
#[must_use]
pub fn from_pairs<'a>(schema: Option<&Value>, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let mut fields = Map::new();
    for (key, text) in pairs {
        let property = schema.and_then(|schema| Some((schema, schema.get("properties")?.get(key)?)));
        let is_text = property.is_some_and(|(root, property)| says_string(root, property, 0));
        // What does not fit into 64 bits stays text: as a number it would be another one.
        let is_text = is_text || strict::beyond_64_bits(text.as_bytes()).is_some();
        let value = if is_text { None } else { serde_json::from_str(text).ok() };
        fields.insert(key.to_owned(), value.unwrap_or_else(|| Value::String(text.to_owned())));
    }
    Value::Object(fields)
}

fn says_string(root: &Value, schema: &Value, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    if let Some(target) = local_reference(root, schema) {
        return says_string(root, target, depth + 1);
    }
    match schema.get("type") {
        Some(Value::String(name)) => name == "string",
        Some(Value::Array(names)) => names.contains(&json!("string")),
        _ => {
            schema.get("const").is_some_and(Value::is_string)
                || schema
                    .get("enum")
                    .and_then(Value::as_array)
                    .is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_string))
        }
    }
}

/// The schema that `$ref: '#/…'` names.
pub(super) fn local_reference<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let reference = schema.get("$ref")?.as_str()?;
    root.pointer(reference.strip_prefix('#')?)
}

fn fill(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let schema = local_reference(root, schema).unwrap_or(schema);
    match value {
        Value::Object(fields) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
            for (name, property) in properties {
                if !fields.contains_key(name)
                    && let Some(default) = local_reference(root, property)
                        .unwrap_or(property)
                        .get("default")
                        .or(property.get("default"))
                {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill(root, property, field, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill(root, item_schema, item, depth + 1));
            }
        }
        _ => {}
    }
}

fn problem(schema: &Value, error: &ValidationError<'_>) -> InputProblem {
    let path = path(error.instance_path().as_str());
    let declared = |pointer: &str| -> Vec<String> {
        // The schema of the object stands above the keyword that failed.
        let above = pointer.rsplit_once('/').map_or("", |(above, _)| above);
        schema
            .pointer(above)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    };
    let names = declared(error.schema_path().as_str());
    let (message, hint) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let hint = (path == "input").then(|| format!("give it with -i {name}=…"));
            (format!("“{name}” is missing"), hint)
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let hint = unexpected
                .first()
                .and_then(|name| similar(name, names.iter().map(String::as_str)))
                .map(|name| format!("did you mean “{name}”?"))
                .or_else(|| (!names.is_empty()).then(|| format!("it has: {}", names.join(", "))));
            (format!("there is no “{}”", unexpected.join("”, “")), hint)
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(plain).collect();
            let given = error.instance().as_str().unwrap_or_default().to_owned();
            let hint = match similar(&given, options.iter().map(String::as_str)) {
                Some(near) => format!("did you mean “{near}”?"),
                None => format!("it is one of: {}", options.join(", ")),
            };
            (format!("{} is not allowed", shorten(&error.instance().to_string())), Some(hint))
        }
        ValidationErrorKind::Format { format } => {
            (format!("{} is no {format}", shorten(&error.instance().to_string())), None)
        }
        _ => (shorten(&error.to_string()), None),
    };
    InputProblem { path, message, hint }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `/platforms/2/name` as people write it: `input.platforms[2].name`.
fn path(pointer: &str) -> String {
    let mut path = "input".to_owned();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.chars().all(|c| c.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            path.push_str(&format!(".{part}"));
        }
    }
    path
}

fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["repo", "task"],
            "additionalProperties": false,
            "properties": {
                "repo": {"type": "string"},
                "task": {"type": "string", "minLength": 5},
                "mail": {"type": "string", "format": "email"},
                "level": {"enum": ["low", "high"], "default": "low"},
                "count": {"type": "integer", "default": 3},
                "nested": {"type": "object", "properties": {"deep": {"default": true}}},
                "tags": {"type": "array", "items": {"type": "object", "properties": {"x": {"default": 1}}}}
            }
        })
    }

    #[test]
    fn defaults_are_filled_in_before_the_check() {
        let input = json!({"repo": "r", "task": "do something", "nested": {}, "tags": [{}, {"x": 2}]});
        assert_eq!(
            check(&schema(), &input),
            Ok(json!({
                "repo": "r", "task": "do something", "level": "low", "count": 3,
                "nested": {"deep": true}, "tags": [{"x": 1}, {"x": 2}]
            }))
        );
    }

    #[test]
    fn every_problem_is_named_with_path_and_hint() {
        let input = json!({"repo": 5, "taks": "x", "mail": "nobody", "level": "hihg", "tags": [1]});
        let problems = check(&schema(), &input).unwrap_err();
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| format!("{problem} ({})", problem.hint.clone().unwrap_or_default()))
            .collect();
        let text = lines.join("\n");
        for expected in [
            "input: “task” is missing (give it with -i task=…)",
            "input: there is no “taks” (did you mean “task”?)",
            "input.repo: 5 is not of type \"string\"",
            "input.level: \"hihg\" is not allowed (did you mean “high”?)",
            "input.mail: \"nobody\" is no email",
            "input.tags[0]: 1 is not of type \"object\"",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn pairs_are_text_where_the_schema_says_string() {
        let schema = json!({"properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/t"}}, "$defs": {"t": {"enum": ["1"]}}});
        let pairs =
            [("a", "5"), ("b", "1"), ("c", "5"), ("d", "[1, true]"), ("e", "plain text"), ("f", "a=b")];
        assert_eq!(
            from_pairs(Some(&schema), pairs),
            json!({"a": "5", "b": "1", "c": 5, "d": [1, true], "e": "plain text", "f": "a=b"})
        );
        let (largest, beyond) = ("18446744073709551615", "18446744073709551616");
        assert_eq!(
            from_pairs(None, [("a", largest), ("b", beyond)]),
            json!({"a": u64::MAX, "b": beyond}),
            "what does not fit keeps its digits"
        );
    }

    #[test]
    fn a_schema_that_is_none_is_found() {
        assert!(check_schema(&json!({"type": "object"})).is_empty());
        assert_eq!(check_schema(&json!({"properties": {"a": {"type": "strin"}}}))[0].0, "/properties/a/type");
        assert!(!check_schema(&json!({"pattern": "(?=x)"})).is_empty());
        assert!(!check_schema(&json!({"$ref": "http://example.org/s"})).is_empty());
    }
}
