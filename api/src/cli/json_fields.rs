//! The fields of `--json=FIELD,…`: an answer with these fields of each thing in it, and nothing else of the thing.
//!
//! Law: a thing is each item of a list, each card of a board, each line of JSON Lines, else the answer itself. A field that
//! the routes know and a thing does not have is null; one that neither knows is refused; one that is named twice counts once.
//! A path (`failure.code`) chooses what stands there.

use everfold_engine::definition::similar;
use serde_json::{Map, Value};

use crate::chosen_fields::ChosenFields;
use crate::fault::{Code, Fault};

/// The answer with the chosen fields alone.
///
/// # Errors
/// No thing of the answer has a field of that name, and no answer of any route has; or a name is none.
pub(super) fn chosen(answer: Value, fields: &[String]) -> Result<Value, Fault> {
    if fields.is_empty() {
        return Ok(answer);
    }
    let chosen = ChosenFields::parse(fields.iter().map(String::as_str)).ok_or_else(|| {
        Fault::new(Code::Usage, "--json: it takes at most 100 names of fields, with commas between them")
            .hint("--json=id,status,failure.code")
    })?;
    let mut names = Vec::new();
    for thing in things(&answer) {
        names.extend(thing.keys().filter(|name| !names.contains(*name)).cloned().collect::<Vec<_>>());
    }
    for head in chosen.heads() {
        if !names.iter().any(|name| name == head) && !is_known(head) {
            return Err(unknown(head, &names));
        }
    }
    Ok(cut(answer, &chosen))
}

/// The lists of an answer whose items are the things that were asked for.
const LISTS: [&str; 3] = ["items", "findings", "cards"];

fn things(answer: &Value) -> Vec<&Map<String, Value>> {
    match answer {
        Value::Array(items) => items.iter().filter_map(Value::as_object).collect(),
        Value::Object(fields) => match list_of(fields) {
            Some(list) => things(&fields[list]),
            None => match columns(fields) {
                Some(columns) => columns.iter().flat_map(things).collect(),
                None => vec![fields],
            },
        },
        _no_thing => Vec::new(),
    }
}

fn cut(answer: Value, fields: &ChosenFields) -> Value {
    match answer {
        Value::Array(items) => items.into_iter().map(|item| fields.of(item)).collect(),
        Value::Object(mut whole) => {
            if let Some(list) = list_of(&whole) {
                let items = whole[list].take();
                whole[list] = cut(items, fields);
                return Value::Object(whole);
            }
            if columns(&whole).is_some() {
                let columns = whole["columns"].take();
                let columns = match columns {
                    Value::Array(columns) => columns.into_iter().map(|column| cut(column, fields)).collect(),
                    other => other,
                };
                whole.insert("columns".to_owned(), columns);
                return Value::Object(whole);
            }
            fields.of(Value::Object(whole))
        }
        other => other,
    }
}

fn list_of(fields: &Map<String, Value>) -> Option<&'static str> {
    LISTS.into_iter().find(|list| fields.get(*list).is_some_and(Value::is_array))
}

fn columns(fields: &Map<String, Value>) -> Option<&Vec<Value>> {
    fields.get("columns").and_then(Value::as_array)
}

/// Whether an answer of some route has a field of this name.
fn is_known(field: &str) -> bool {
    let document = crate::http::document();
    let schemas = document["components"]["schemas"].as_object();
    schemas.into_iter().flatten().any(|(_, schema)| declares(schema, field))
}

fn declares(schema: &Value, field: &str) -> bool {
    let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|name| schema[name].as_array()).flatten();
    schema["properties"].get(field).is_some() || parts.into_iter().any(|part| declares(part, field))
}

fn unknown(field: &str, names: &[String]) -> Fault {
    let fault = Fault::new(Code::Usage, format!("--json={field}: the answer has no such field"));
    match similar(field, names.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None if names.is_empty() => fault.hint("--json alone prints the whole answer"),
        None => fault.hint(format!("it has {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(answer: &Value, fields: &str) -> Result<Value, Fault> {
        let fields: Vec<String> = fields.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        chosen(answer.clone(), &fields)
    }

    #[test]
    fn fields_are_those_of_the_things_in_an_answer() {
        let run = json!({ "id": 1, "status": "failed", "steps": [{ "id": "a" }] });
        let cut = json!({ "status": "failed" });
        let page = |item: &Value| json!({ "items": [item], "next_cursor": null });
        let board =
            |card: &Value| json!({ "columns": [{ "name": "failed", "cards": [card] }], "position": 3 });
        for (whole, part) in [
            (run.clone(), cut.clone()),
            (page(&run), page(&cut)),
            (board(&run), board(&cut)),
            (json!([run]), json!([cut])),
        ] {
            assert_eq!(of(&whole, "status").unwrap(), part);
            assert_eq!(of(&whole, "status,status").unwrap(), part);
            assert_eq!(of(&whole, "").unwrap(), whole);
        }
        assert_eq!(of(&run, "id,origin").unwrap(), json!({ "id": 1, "origin": null }));
        let page = page(&json!({ "id": 1, "failure": { "code": "E", "kind": "exec" } }));
        let cut = json!({ "items": [{ "failure": { "code": "E" } }], "next_cursor": null });
        assert_eq!(of(&page, "failure.code").unwrap(), cut);
        assert_eq!(of(&json!({ "items": [] }), "id").unwrap(), json!({ "items": [] }));
    }

    #[test]
    fn a_field_that_no_answer_has_is_refused() {
        let run = json!({ "id": 1, "status": "failed" });
        let fault = of(&run, "statsu").unwrap_err();
        assert!(fault.hint.unwrap().contains("status"));
        let fault = of(&run, "xyzzy").unwrap_err();
        assert_eq!(fault.hint.unwrap(), "it has id, status");
    }
}
