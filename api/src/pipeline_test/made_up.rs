//! Values that are made up where nothing real gives any: by a JSON Schema, and by what a pipeline reads of them.
//!
//! Law: a made-up text stands in ‹…›, wherever it goes; the same pipeline gives the same values.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::definition::{Definition, Step, Work};
use everfold_engine::expr::{Expr, Template};
use everfold_engine::id::StepId;
use everfold_engine::json::Value;
use serde_json::{Map, json};

/// How deep a schema is followed; below that stands null.
const DEPTH_MAX: usize = 12;
/// How deep properties that need not be there are made up.
const OPTIONAL_DEPTH: usize = 4;
/// Items of a list whose schema asks for several.
const ITEMS_MAX: u64 = 3;
/// How many values one schema is made up to; further ones are null.
const VALUES_MAX: usize = 10_000;

/// A made-up text.
pub(super) fn text(name: &str) -> String {
    format!("‹{name}›")
}

/// A value as its schema describes it: the first of several words, one item of a list.
pub(super) fn example(name: &str, schema: &Value) -> Value {
    SchemaExample { root: schema, left: Cell::new(VALUES_MAX) }.value(name, schema, 0)
}

struct SchemaExample<'a> {
    root: &'a Value,
    /// How many values may still be made up.
    left: Cell<usize>,
}

impl SchemaExample<'_> {
    fn value(&self, name: &str, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX || self.left.get() == 0 {
            return Value::Null;
        }
        self.left.set(self.left.get() - 1);
        let first = |key: &str| schema[key].as_array().and_then(|list| list.first());
        if let Some(pointer) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
            let target = self.root.pointer(pointer).unwrap_or(&Value::Null);
            return self.value(name, target, depth + 1);
        }
        let given = schema.get("const").or_else(|| first("enum")).or_else(|| schema.get("default"));
        if let Some(given) = given.or_else(|| first("examples")) {
            return given.clone();
        }
        if let Some(one) = first("oneOf").or_else(|| first("anyOf")) {
            return self.value(name, one, depth + 1);
        }
        if let Some(all) = schema["allOf"].as_array() {
            return all.iter().fold(Value::Null, |whole, part| {
                match (whole, self.value(name, part, depth + 1)) {
                    (Value::Object(mut whole), Value::Object(part)) => {
                        whole.extend(part);
                        Value::Object(whole)
                    }
                    (_, part) => part,
                }
            });
        }
        let kind = schema["type"].as_str().or_else(|| {
            let kinds = schema["type"].as_array()?;
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")
        });
        match kind {
            Some("object") => self.object(schema, depth),
            None if schema.get("properties").is_some() => self.object(schema, depth),
            Some("array") => self.list(name, schema, depth),
            Some("integer" | "number") => number(schema),
            Some("boolean") => json!(true),
            Some("null") => Value::Null,
            _text => json!(word(name, schema)),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object();
        let mut fields = Map::new();
        for name in &required {
            let of = properties.and_then(|all| all.get(*name)).unwrap_or(&Value::Null);
            fields.insert((*name).to_owned(), self.value(name, of, depth + 1));
        }
        for (name, of) in properties.into_iter().flatten().filter(|_| depth < OPTIONAL_DEPTH) {
            if !required.contains(name.as_str()) {
                fields.insert(name.clone(), self.value(name, of, depth + 1));
            }
        }
        Value::Object(fields)
    }

    fn list(&self, name: &str, schema: &Value, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let count = match schema.get("items") {
            Some(_) => least.max(1).min(schema["maxItems"].as_u64().unwrap_or(u64::MAX)),
            None => least,
        };
        (0..count.min(ITEMS_MAX)).map(|_| self.value(name, &schema["items"], depth + 1)).collect()
    }
}

fn number(schema: &Value) -> Value {
    let above = schema["exclusiveMinimum"].as_i64().map(|least| json!(least.saturating_add(1)));
    let at_most =
        || schema.get("maximum").filter(|most| most.as_f64().is_some_and(|most| most < 1.0)).cloned();
    schema.get("minimum").cloned().or(above).or_else(at_most).unwrap_or_else(|| json!(1))
}

fn word(name: &str, schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("date-time") => "2026-01-05T09:00:00Z".to_owned(),
        Some("date") => "2026-01-05".to_owned(),
        Some("uri" | "url") => "https://example.org".to_owned(),
        _plain => text(name),
    }
}

/// What the work of each step is made up to give: what its schema or its `outputs` describe, and what the pipeline reads
/// of it besides.
pub(super) fn outputs(definition: &Definition) -> BTreeMap<StepId, Value> {
    completed(definition, described)
}

/// What the work of each step gives, with what the pipeline reads of it besides.
pub(super) fn completed(definition: &Definition, given: impl Fn(&Step) -> Value) -> BTreeMap<StepId, Value> {
    let steps = || definition.steps.iter().chain(&definition.on_finish);
    let mut made: BTreeMap<StepId, Value> = steps().map(|step| (step.id.clone(), given(step))).collect();
    for step in steps() {
        let own = read_in(&json!(step));
        let items = items_of(step, &own);
        for chain in &own {
            let (of, rest) = match chain.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["steps", of, "output", ..] => (StepId::new(of), &chain.path[3..]),
                ["output", ..] => (step.id.clone(), &chain.path[1..]),
                _other => continue,
            };
            let Some(value) = made.get_mut(&of) else { continue };
            let is_list = items.as_ref().is_some_and(|(path, _)| *path == chain.path);
            let leaf = match &items {
                Some((_, item)) if is_list => json!([item]),
                _other if chain.is_list => json!([text(rest.last().map_or("item", String::as_str))]),
                _other => json!(text(rest.last().map_or(of.as_str(), String::as_str))),
            };
            put(value, rest, leaf);
        }
    }
    let rest = json!([definition.output, definition.notify, definition.labels]);
    for chain in read_in(&rest) {
        if let ["steps", of, "output", ..] =
            chain.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
            && let Some(value) = made.get_mut(&StepId::new(of))
        {
            let name = chain.path.last().filter(|_| chain.path.len() > 3);
            put(value, &chain.path[3..], json!(text(name.map_or(of, String::as_str))));
        }
    }
    made
}

/// What a step says itself of its output.
fn described(step: &Step) -> Value {
    let Some(Work::Task(task)) = &step.work else { return Value::Null };
    let schema = &task.spec.source()["schema"];
    if !schema.is_null() {
        return example(step.id.as_str(), schema);
    }
    let fields = step.outputs.matches.keys().map(|name| (name.clone(), json!(text(name))));
    let fields: Map<String, Value> = fields.collect();
    if fields.is_empty() { Value::Null } else { Value::Object(fields) }
}

/// The list that a `foreach` goes over, where it is one chain of fields, and an item of it as the step reads it.
fn items_of(step: &Step, read: &[FieldRead]) -> Option<(Vec<String>, Value)> {
    let foreach = step.foreach.as_ref()?;
    let expressions = foreach.items.expressions();
    let [expression] = expressions.as_slice() else { return None };
    let path = expression.chains().first()?.path.clone();
    let mut item = Value::Null;
    for chain in read {
        let is_item = |root: &String| root == "item" || Some(root) == foreach.name.as_ref();
        if let [root, rest @ ..] = chain.path.as_slice()
            && is_item(root)
        {
            put(&mut item, rest, json!(text(rest.last().unwrap_or(root))));
        }
    }
    let name = || json!(text(path.last().map_or("item", String::as_str)));
    Some((path.clone(), if item.is_null() { name() } else { item }))
}

/// Puts a value where nothing is known yet; what a schema describes stays.
fn put(value: &mut Value, path: &[String], leaf: Value) {
    match path {
        [] => {
            if value.is_null() {
                *value = leaf;
            }
        }
        [name, rest @ ..] => {
            // A text that was made up for the whole gives way to its fields.
            if value.is_null() || value.as_str().is_some_and(|text| text.starts_with('‹')) {
                *value = json!({});
            }
            if let Value::Object(fields) = value {
                put(fields.entry(name.clone()).or_insert(Value::Null), rest, leaf);
            }
        }
    }
}

/// A chain of fields that some expression reads.
struct FieldRead {
    path: Vec<String>,
    is_list: bool,
}

/// What the expressions in a document read.
fn read_in(document: &Value) -> Vec<FieldRead> {
    let mut found = Vec::new();
    collect(document, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<FieldRead>) {
    match value {
        Value::String(text) => {
            for expression in expressions(text) {
                found.extend(
                    expression
                        .chains()
                        .iter()
                        .filter(|chain| chain.guarded_from.is_none())
                        .map(|chain| FieldRead { path: chain.path.clone(), is_list: chain.fails_on_null }),
                );
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _scalar => {}
    }
}

/// The expressions of a text of a definition: those in its `${…}`, else the text itself, where it is one.
fn expressions(text: &str) -> Vec<Expr> {
    let within = Template::text(text).map(|template| template.expressions().into_iter().cloned().collect());
    match within {
        Ok(within) if Vec::is_empty(&within) => Expr::parse(text).into_iter().collect(),
        Ok(within) => within,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_names_itself_in_many_fields_gives_a_bounded_value() {
        let names: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
        let properties: Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!({"$ref": "#"}))).collect();
        let schema = json!({"type": "object", "required": names, "properties": properties});
        let made = example("tree", &schema);
        assert!(made["f0"]["f0"].is_object(), "{made}");
        assert!(made.to_string().len() < 20 * VALUES_MAX * "\"f19\":null,".len());
    }

    #[test]
    fn a_schema_gives_a_value_that_fits_it() {
        let schema = json!({
            "type": "object", "required": ["verdict", "score"],
            "properties": {
                "verdict": {"enum": ["ready", "broken"]},
                "score": {"type": "integer", "minimum": 3},
                "text": {"type": ["null", "string"]},
                "tasks": {"type": "array", "items": {"$ref": "#/$defs/task"}},
                "none": {"type": "array"},
            },
            "$defs": {"task": {"type": "object", "properties": {"id": {"type": "string"}, "below": {"$ref": "#/$defs/task"}}}},
        });
        let made = example("plan", &schema);
        assert_eq!(made["verdict"], "ready");
        assert_eq!((&made["score"], &made["text"], &made["none"]), (&json!(3), &json!("‹text›"), &json!([])));
        assert_eq!(made["tasks"][0]["id"], "‹id›");
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(&made), "{made}");
    }
}
