//! The fields that are wanted of the things in an answer, and nothing else of them.
//!
//! Law: a field is chosen by its path, and stands where the whole thing has it: `failure.code` leaves `{"failure": {"code":
//! …}}`, `awaits.kind` the kind of each of a list. What a thing does not have is null; what no answer has is refused.

use everfold_engine::definition::similar;
use serde_json::{Map, Value};

/// Fields that are chosen at once.
const FIELDS_MAX: usize = 100;
/// How deep a schema is followed: those of values may hold themselves.
const DEPTH_MAX: usize = 12;

/// The fields that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChosenFields(Vec<Vec<String>>);

/// Why a field cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownField {
    pub(crate) field: String,
    /// What is likely meant.
    pub(crate) near: Option<String>,
    /// What there is.
    pub(crate) known: Vec<String>,
}

impl ChosenFields {
    /// Reads paths; `None`: too many of them, or a path with an empty part.
    pub(crate) fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut paths: Vec<Vec<String>> = Vec::new();
        for field in fields {
            let path: Vec<String> = field.trim().split('.').map(str::to_owned).collect();
            if paths.len() == FIELDS_MAX || path.iter().any(String::is_empty) {
                return None;
            }
            paths.push(path);
        }
        Some(Self(paths))
    }

    /// Whether things of this schema have all of them; `whole` is the document that the schema refers to.
    pub(crate) fn check(&self, schema: &Value, whole: &Value) -> Result<(), UnknownField> {
        self.0.iter().try_for_each(|path| {
            if has_path(schema, whole, path, DEPTH_MAX)
                || (path.len() == 1 && is_added(&path[0], schema, whole))
            {
                return Ok(());
            }
            Err(unknown(path, schema, whole))
        })
    }

    /// The chosen fields of a thing.
    pub(crate) fn of(&self, thing: Value) -> Value {
        let Value::Object(mut fields) = thing else { return thing };
        if self.0.iter().any(|path| path == &[COST]) && !fields.contains_key(COST) {
            fields.insert(COST.to_owned(), cost(&fields));
        }
        let paths: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        cut(Value::Object(fields), &paths)
    }

    /// The first parts of the paths.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|path| path.first()).map(String::as_str)
    }
}

/// What filters call the cost of a row: US dollars, a number.
const COST: &str = "cost";

/// Whether a thing of this schema has a field that only filters name.
fn is_added(name: &str, schema: &Value, whole: &Value) -> bool {
    let has = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        has_path(schema, whole, &path, DEPTH_MAX)
    };
    name == COST && (has(&["cost_usd"]) || has(&["usage", "cost_usd"]))
}

fn cost(fields: &Map<String, Value>) -> Value {
    let own = fields.get("cost_usd");
    let usd = own.or_else(|| fields.get("usage").and_then(|usage| usage.get("cost_usd")));
    usd.and_then(Value::as_str).and_then(|usd| usd.parse::<f64>().ok()).into()
}

fn cut(value: Value, paths: &[&[String]]) -> Value {
    if paths.iter().any(|path| path.is_empty()) {
        return value;
    }
    match value {
        Value::Array(items) => items.into_iter().map(|item| cut(item, paths)).collect(),
        Value::Object(mut whole) => {
            let mut chosen = Map::new();
            for path in paths {
                // A key of a map may have dots.
                let joined = path.join(".");
                if let Some(value) = whole.remove(&joined) {
                    chosen.insert(joined, value);
                    continue;
                }
                let (first, rests) = (&path[0], under(paths, &path[0]));
                if !chosen.contains_key(first) {
                    let value = whole.remove(first).map_or(Value::Null, |value| cut(value, &rests));
                    chosen.insert(first.clone(), value);
                }
            }
            Value::Object(chosen)
        }
        other => other,
    }
}

/// What is asked for below a field.
fn under<'a>(paths: &[&'a [String]], first: &str) -> Vec<&'a [String]> {
    let below = paths.iter().filter_map(|path| path.split_first().filter(|(name, _)| *name == first));
    below.map(|(_, rest)| rest).collect()
}

fn resolved<'a>(schema: &'a Value, whole: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| whole.pointer(pointer)).unwrap_or(schema)
}

/// The parts that a schema consists of.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten()
}

fn has_path(schema: &Value, whole: &Value, path: &[String], depth: usize) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let schema = resolved(schema, whole);
    if depth == 0 || parts(schema).any(|part| has_path(part, whole, path, depth - 1)) {
        return depth > 0;
    }
    if schema["items"].is_object() {
        return has_path(&schema["items"], whole, path, depth - 1);
    }
    match schema["properties"].get(first) {
        Some(property) => has_path(property, whole, rest, depth - 1),
        // A map under any names, or any value.
        None => {
            let further = &schema["additionalProperties"];
            let names_nothing = schema["properties"].is_null() && parts(schema).next().is_none();
            let says_nothing = names_nothing && schema["type"].is_null() && schema["enum"].is_null();
            let is_any_map = names_nothing && further.is_null() && may_be_map(&schema["type"]);
            further.is_object() || further == &Value::Bool(true) || says_nothing || is_any_map
        }
    }
}

/// Whether a schema of this type is of maps, alone or beside null.
fn may_be_map(kind: &Value) -> bool {
    kind == "object" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "object"))
}

fn names(schema: &Value, whole: &Value, depth: usize, found: &mut Vec<String>) {
    let schema = resolved(schema, whole);
    if depth == 0 {
        return;
    }
    parts(schema).for_each(|part| names(part, whole, depth - 1, found));
    if schema["items"].is_object() {
        names(&schema["items"], whole, depth - 1, found);
    }
    for name in schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
}

fn below<'a>(schema: &'a Value, whole: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
    let schema = resolved(schema, whole);
    if depth == 0 {
        return None;
    }
    let own = schema["properties"].get(name);
    let in_items = || below(&schema["items"], whole, name, depth - 1);
    own.or_else(|| parts(schema).find_map(|part| below(part, whole, name, depth - 1))).or_else(in_items)
}

/// What is said of a path that leads nowhere: the part that is unknown, and what stands beside it.
fn unknown(path: &[String], schema: &Value, whole: &Value) -> UnknownField {
    let (mut at, mut ahead) = (schema, Vec::new());
    for name in path {
        let Some(next) = below(at, whole, name, DEPTH_MAX) else { break };
        at = next;
        ahead.push(name.clone());
    }
    let mut known = Vec::new();
    names(at, whole, DEPTH_MAX, &mut known);
    let wrong = path.get(ahead.len()).map_or("", String::as_str);
    let near = similar(wrong, known.iter().map(String::as_str)).map(|near| {
        let whole: Vec<&str> = ahead.iter().map(String::as_str).chain([near]).collect();
        whole.join(".")
    });
    UnknownField { field: path.join("."), near, known }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> ChosenFields {
        ChosenFields::parse(text.split(',')).unwrap()
    }

    #[test]
    fn paths_choose_members_where_the_whole_thing_has_them() {
        let run = json!({
            "id": 1, "failure": { "code": "E", "kind": "exec" }, "labels": { "team": "blue", "a.b": "c" },
            "awaits": [{ "kind": "approval", "roles": [] }, { "kind": "question" }], "usage": { "cost_usd": "1.250000" },
        });
        for (asked, chosen) in [
            ("id", json!({ "id": 1 })),
            ("failure.code,id", json!({ "failure": { "code": "E" }, "id": 1 })),
            ("failure.kind,failure.code", json!({ "failure": { "kind": "exec", "code": "E" } })),
            ("failure,failure.code", json!({ "failure": { "code": "E", "kind": "exec" } })),
            ("awaits.kind", json!({ "awaits": [{ "kind": "approval" }, { "kind": "question" }] })),
            ("labels.team", json!({ "labels": { "team": "blue" } })),
            ("labels.a.b", json!({ "labels": { "a.b": "c" } })),
            ("labels.none", json!({ "labels": { "none": null } })),
            ("cost", json!({ "cost": 1.25 })),
            ("origin.run", json!({ "origin": null })),
        ] {
            assert_eq!(fields(asked).of(run.clone()), chosen, "{asked}");
        }
        assert_eq!(ChosenFields::parse(["a..b"].into_iter()), None);
        assert_eq!(ChosenFields::parse(std::iter::repeat_n("a", FIELDS_MAX + 1)), None);
    }

    #[test]
    fn what_a_schema_does_not_have_is_refused_with_what_is_likely_meant() {
        let whole = json!({ "components": { "schemas": { "Failure": {
            "type": "object", "properties": { "code": { "type": "string" } }, "additionalProperties": false,
        } } } });
        let row = json!({ "type": "object", "properties": {
            "id": { "type": "string" }, "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "failure": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Failure" }] },
            "awaits": { "type": "array", "items": { "type": "object", "properties": { "kind": { "type": "string" } } } },
            "terms": { "type": "object", "description": "maps of which nothing more is said" }, "event": {},
            "draft": { "type": ["object", "null"] },
        } });
        for known in [
            "id",
            "labels.any.thing",
            "failure.code",
            "awaits.kind",
            "failure",
            "terms.roles",
            "terms.options.id",
            "event.type",
            "draft.text",
        ] {
            assert_eq!(fields(known).check(&row, &whole), Ok(()), "{known}");
        }
        for (wrong, near) in [
            ("failure.cod", Some("failure.code")),
            ("labls", Some("labels")),
            ("awaits.kin", Some("awaits.kind")),
            ("cost", None),
            ("id.x", None),
        ] {
            let refused = fields(wrong).check(&row, &whole).unwrap_err();
            assert_eq!((refused.field.as_str(), refused.near.as_deref()), (wrong, near));
        }
    }
}
