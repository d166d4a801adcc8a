//! JSON Schemas of what functions take and give, derived from their types.
//!
//! Law: what a function reads and what it declares is one type. The functions of the program itself declare the plain
//! form: a parameter may be left out and is not null, enumerations are lists of names, every schema says which
//! properties are required, and nothing is named but by its place.

use everfold_base::json::Value;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};

/// Whether a value of the type is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// It is read: the input of a function.
    Read,
    /// It is written: the output of a function.
    Written,
}

impl Direction {
    fn settings(self) -> SchemaSettings {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
        match self {
            Self::Read => settings.for_deserialize(),
            Self::Written => settings.for_serialize(),
        }
    }
}

/// The schema of a type, as `schemars` derives it.
pub(super) fn schema_of<T: JsonSchema>(direction: Direction) -> Value {
    direction.settings().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a type in the plain form.
pub(super) fn plain_schema_of<T: JsonSchema>(direction: Direction) -> Value {
    let settings = direction
        .settings()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(move |schema: &mut Schema| make_plain(schema, direction)));
    match settings.into_generator().into_root_schema_for::<T>().to_value() {
        // It says nothing of the value.
        Value::Object(schema) if schema.is_empty() => Value::Bool(true),
        schema => schema,
    }
}

fn make_plain(schema: &mut Schema, direction: Direction) {
    let Some(keywords) = schema.as_object_mut() else { return };
    keywords.remove("title");
    if keywords.get("additionalProperties") == Some(&Value::Bool(true)) {
        keywords.remove("additionalProperties");
    }
    // Variants with descriptions are derived as alternatives of constants.
    let names = keywords.get("oneOf").and_then(Value::as_array).and_then(|variants| {
        variants.iter().map(|variant| variant.get("const").cloned()).collect::<Option<Vec<Value>>>()
    });
    if let Some(names) = names {
        keywords.remove("oneOf");
        keywords.insert("type".to_owned(), "string".into());
        keywords.insert("enum".to_owned(), names.into());
    }
    if let Some(Value::Array(required)) = keywords.get_mut("required") {
        required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    if direction == Direction::Read {
        if let Some(Value::Array(types)) = keywords.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                keywords.insert("type".to_owned(), one);
            }
        }
        if keywords.get("default") == Some(&Value::Null) {
            keywords.remove("default");
        }
        if keywords.contains_key("properties") {
            keywords.entry("required").or_insert_with(|| Value::Array(Vec::new()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Size {
        /// Less.
        Small,
        /// More.
        Large,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Parcel {
        /// where it goes
        #[serde(default)]
        #[schemars(length(min = 1))]
        to: Option<String>,
        #[serde(default)]
        heavy: bool,
        size: Option<Size>,
    }

    #[test]
    fn parameters_may_be_left_out_and_outputs_are_always_there() {
        let (boolean, size) = (
            json!({"type": "boolean", "default": false}),
            json!({"type": "string", "enum": ["small", "large"]}),
        );
        let to = json!({"type": "string", "minLength": 1, "description": "where it goes"});
        let read = plain_schema_of::<Parcel>(Direction::Read);
        assert_eq!((&read["properties"]["to"], &read["properties"]["heavy"]), (&to, &boolean));
        assert_eq!((&read["required"], &read["additionalProperties"]), (&json!([]), &json!(false)));
        assert_eq!(plain_schema_of::<Size>(Direction::Read), size);
        let written = plain_schema_of::<Parcel>(Direction::Written);
        assert_eq!(written["required"], json!(["heavy", "size", "to"]));
        assert_eq!(written["properties"]["to"]["type"], json!(["string", "null"]));
        assert_eq!(plain_schema_of::<Value>(Direction::Read), json!(true));
    }
}
