//! What a start form begins with: what its address says, or the input of a former run.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::frame::Visit;
use crate::pipelines::{PipelineView, segment};
use crate::problem::Problem;
use crate::start::typed::TypedStart;

/// As deep as an address names fields within fields.
const DEPTH_MAX: usize = 8;

/// The values of an address that are for the form.
#[derive(Debug, Default)]
pub(super) struct Prefill {
    pub(super) input: Option<Value>,
    pub(super) typed: TypedStart,
    /// The run whose input it is.
    pub(super) like: Option<String>,
}

/// A run that is to be started again with the same input.
#[derive(Debug, Deserialize)]
struct FormerRun {
    short_id: String,
    input: Value,
    title: Option<String>,
}

impl Prefill {
    /// Reads a query: `input.name=Ada&title=…&label.team=blue&priority=3`, on top of the run in `like`.
    pub(super) async fn load(visit: &Visit, pipeline: &PipelineView, query: &str) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut prefill = Self::default();
        if let Some((_, run)) = pairs.iter().find(|(name, value)| name == "like" && !value.is_empty()) {
            let run: FormerRun = visit.rest.get(&format!("/runs/{}", segment(run))).await?;
            prefill.typed.title = run.title.unwrap_or_default();
            prefill.input = Some(run.input);
            prefill.like = Some(run.short_id);
        }
        prefill.take(&pipeline.input, &pairs);
        Ok(prefill)
    }

    fn take(&mut self, schema: &Value, pairs: &[(String, String)]) {
        for (name, value) in pairs {
            if let Some(field) = name.strip_prefix("input.").filter(|field| is_shallow(field)) {
                let input = self.input.get_or_insert_with(|| Value::Object(Map::new()));
                put(input, schema, field, value);
            } else if let Some(key) = name.strip_prefix("label.") {
                self.typed.labels.push_str(&format!("{key}: {value}\n").replace(['\r'], ""));
            } else if name == "title" {
                self.typed.title.clone_from(value);
            } else if name == "priority" {
                self.typed.priority.clone_from(value);
            }
        }
    }
}

fn is_shallow(field: &str) -> bool {
    field.split('.').count() <= DEPTH_MAX
}

/// Puts a value at a field, `repo.branch`, with the type that the schema wants: a text stays one where it may.
fn put(input: &mut Value, schema: &Value, field: &str, text: &str) {
    let (key, inner) = field.split_once('.').map_or((field, None), |(key, inner)| (key, Some(inner)));
    let Some(fields) = input.as_object_mut() else { return };
    let of_field = schema.get("properties").and_then(|all| all.get(key)).unwrap_or(&Value::Null);
    match inner {
        Some(inner) => {
            let within = fields.entry(key).or_insert_with(|| Value::Object(Map::new()));
            put(within, of_field, inner, text);
        }
        None => {
            fields.insert(key.to_owned(), typed(of_field, text));
        }
    }
}

fn typed(schema: &Value, text: &str) -> Value {
    let may_be_text = match schema.get("type") {
        Some(Value::String(word)) => word == "string",
        Some(Value::Array(words)) => words.iter().any(|word| word == "string"),
        _ => {
            schema.get("enum").and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == text))
        }
    };
    let as_text = || Value::String(text.to_owned());
    if may_be_text { as_text() } else { serde_json::from_str(text).unwrap_or_else(|_| as_text()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_fills_fields_by_the_types_of_the_schema() {
        let schema = json!({ "properties": {
            "name": { "type": "string" }, "times": { "type": "integer" },
            "repo": { "type": "object", "properties": { "branch": { "type": "string" } } },
        } });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut prefill = Prefill::default();
        prefill.take(
            &schema,
            &[
                pair("input.name", "42"),
                pair("input.times", "3"),
                pair("input.repo.branch", "true"),
                pair("input.more", "x"),
                pair("label.team", "blue"),
                pair("other", "y"),
            ],
        );
        let expected = json!({ "name": "42", "times": 3, "repo": { "branch": "true" }, "more": "x" });
        assert_eq!(prefill.input, Some(expected));
        assert_eq!(prefill.typed.labels, "team: blue\n");
    }

    #[test]
    fn an_address_makes_no_input_that_is_deeper_than_forms_are() {
        let mut prefill = Prefill::default();
        prefill.take(&Value::Null, &[(format!("input{}", ".a".repeat(60_000)), "x".to_owned())]);
        assert_eq!(prefill.input, None);
    }
}
