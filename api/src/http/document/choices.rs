//! Rules over several fields of a body: which of them are required, and which exclude each other.
//!
//! Law: a rule forbids nothing that its route accepts. So a field that is null counts as one that is left out.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

/// Writes the rules into the schemas of bodies: as text into the description, and as JSON Schema.
pub(super) fn write(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, words, word, choice) in choices() {
        let Some(RefOr::T(Schema::Object(body))) = schemas.get_mut(name) else {
            debug_assert!(false, "there is no body {name}");
            continue;
        };
        let about = body.description.take().map(|about| format!("{about}\n\n")).unwrap_or_default();
        body.description = Some(format!("{about}{words}"));
        // `ObjectBuilder` of utoipa has no field for these keywords.
        body.extensions.get_or_insert_default().insert(word.to_owned(), choice);
    }
}

/// For each body its rule as text, the keyword of JSON Schema, and the keyword's value.
fn choices() -> [(&'static str, &'static str, &'static str, Value); 10] {
    [
        (
            "CreateBody",
            "Either `pipeline` or `definition`.",
            "oneOf",
            json!([given(&["pipeline"], &["definition"]), given(&["definition"], &["pipeline"])]),
        ),
        (
            "CheckBody",
            "Either `pipeline` or `definition`.",
            "oneOf",
            json!([given(&["pipeline"], &["definition"]), given(&["definition"], &["pipeline"])]),
        ),
        (
            "TokenBody",
            "A `role`, or what it `approves`, or both.",
            "anyOf",
            json!([
                given(&["role"], &[]),
                with(given(&["approves"], &[]), "approves", json!({ "minItems": 1 })),
            ]),
        ),
        (
            "ReplayBody",
            "`pipeline` or `definition`, not both; without either the newest saved pipeline of the run's name.",
            "not",
            given(&["pipeline", "definition"], &[]),
        ),
        (
            "RestartBody",
            "`pipeline` or `definition`, not both.",
            "not",
            given(&["pipeline", "definition"], &[]),
        ),
        (
            "ForkBody",
            "Either `version` or `at`; `pipeline` or `definition`, not both.",
            "allOf",
            json!([
                { "oneOf": [given(&["version"], &["at"]), given(&["at"], &["version"])] },
                { "not": given(&["pipeline", "definition"], &[]) },
            ]),
        ),
        (
            "RaiseBody",
            "At least one of `add`, `tokens` and `wall`.",
            "anyOf",
            json!([given(&["add"], &[]), given(&["tokens"], &[]), given(&["wall"], &[])]),
        ),
        (
            "SharedBudgetBody",
            "At least one of `cost`, `tokens` and `wall`.",
            "anyOf",
            json!([given(&["cost"], &[]), given(&["tokens"], &[]), given(&["wall"], &[])]),
        ),
        (
            "DecideBody",
            "A `decision` on an approval, with `comment`, `comments`, `value` and `seen`; or `answers` to a question, with `save`.",
            "oneOf",
            json!([
                with(given(&["decision"], &["answers"]), "save", json!({ "const": false })),
                with(
                    given(&["answers"], &["decision", "comment", "value", "seen"]),
                    "comments",
                    json!({ "maxItems": 0 })
                ),
            ]),
        ),
        (
            "SignalAllBody",
            "Either `key` or `labels`.",
            "oneOf",
            json!([
                with(given(&["key"], &[]), "labels", json!({ "maxProperties": 0 })),
                with(given(&["labels"], &["key"]), "labels", json!({ "minProperties": 1 })),
            ]),
        ),
    ]
}

/// A schema by which the fields `there` are present and the fields `absent` are not.
fn given(there: &[&str], absent: &[&str]) -> Value {
    let there_is = there.iter().map(|name| ((*name).to_owned(), json!({ "not": { "type": "null" } })));
    let is_absent = absent.iter().map(|name| ((*name).to_owned(), json!({ "type": "null" })));
    let properties: serde_json::Map<String, Value> = there_is.chain(is_absent).collect();
    json!({ "required": there, "properties": properties })
}

/// The same schema, with a further condition on a field where it is present.
fn with(mut choice: Value, name: &str, like: Value) -> Value {
    choice["properties"][name] = like;
    choice
}
