//! An answer to a question, or a part of one: read, put together, and what it leaves open.

use serde_json::Map;

use super::question_parts::read_options;
use super::refusal::Refusal;
use crate::event::QuestionTerms;
use everfold_base::id::StepPath;
use everfold_base::json::{JsonText, Payload, Value};

/// An answer, a draft of one, or a question of the work.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024;

pub(super) fn refuse(path: &StepPath, problems: Vec<String>) -> Refusal {
    Refusal::InvalidAnswer { path: path.clone(), problems }
}

/// The text of an answer: inline, whatever its size.
pub(super) fn answer_text<'a>(path: &StepPath, answer: &'a Payload) -> Result<&'a JsonText, Refusal> {
    answer.text().ok_or_else(|| refuse(path, vec!["an answer brings the value itself".into()]))
}

/// Reads `{choice?, text?, items?, states?}` and checks what can be checked in a part.
pub(super) fn read_answer(
    path: &StepPath,
    terms: &QuestionTerms,
    answer: &JsonText,
) -> Result<Map<String, Value>, Refusal> {
    if answer.as_str().len() > ANSWER_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the answer", max: ANSWER_BYTES_MAX });
    }
    let Value::Object(mut given) = answer.value() else {
        return Err(refuse(path, vec!["it is no map of `choice`, `text`, `items` and `states`".into()]));
    };
    given.remove("by"); // The actor of the input is the author of the answer.
    let mut problems = Vec::new();
    for (name, value) in &given {
        match (name.as_str(), value) {
            ("choice" | "text" | "items" | "states", Value::Null) => {}
            ("choice", Value::String(choice)) => problems.extend(check_choice(&terms.options, choice)),
            ("text", Value::String(_)) => {}
            ("items", Value::Object(items)) => problems.extend(check_items(terms, items)),
            ("states", Value::Object(states)) => problems.extend(check_states(terms, states)),
            ("choice" | "text", _) => problems.push(format!("`{name}` is no text")),
            ("items", _) => problems.push("`items` is no map of answers by item".into()),
            ("states", _) => problems.push("`states` is no map of states by item".into()),
            _ => problems
                .push(format!("there is no `{name}`; an answer has `choice`, `text`, `items`, `states`")),
        }
    }
    if !problems.is_empty() {
        return Err(refuse(path, problems));
    }
    // A text that is one of the options chooses it: so an answer can be typed as it was read.
    if given.get("choice").is_none_or(Value::is_null)
        && let Some(Value::String(text)) = given.get("text")
        && terms.options.contains(text)
    {
        let choice = given.insert("text".into(), Value::Null).unwrap_or_default();
        given.insert("choice".into(), choice);
    }
    Ok(given)
}

fn check_choice(options: &[String], choice: &str) -> Option<String> {
    match options {
        [] => Some("it offers no options to choose from; answer with a text".into()),
        options if options.iter().any(|option| option == choice) => None,
        options => Some(format!("“{choice}” is none of the options: {}", options.join(", "))),
    }
}

fn items_of(terms: &QuestionTerms) -> Vec<Value> {
    let items = terms.items.as_ref().map(JsonText::value);
    items.and_then(|items| items.as_array().cloned()).unwrap_or_default()
}

fn check_items(terms: &QuestionTerms, given: &Map<String, Value>) -> Vec<String> {
    let items = items_of(terms);
    let mut problems = Vec::new();
    for (id, value) in given {
        let Some(item) = items.iter().find(|item| item["id"] == id.as_str()) else {
            problems.push(no_item(&items, id));
            continue;
        };
        let options = read_options(Some(&item["options"])).unwrap_or_default();
        match value {
            Value::Null => {}
            Value::String(choice) if options.contains(choice) => {}
            Value::Array(_) | Value::Object(_) => {
                problems.push(format!("the answer to item “{id}” is neither text, number nor boolean"));
            }
            _ if options.is_empty() => {}
            other => {
                let shown = everfold_base::json::canonical(other);
                problems.push(format!("item “{id}”: {shown} is none of the options: {}", options.join(", ")));
            }
        }
    }
    problems
}

fn no_item(items: &[Value], id: &str) -> String {
    let ids: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
    match ids.is_empty() {
        true => format!("there is no item “{id}”; it has none"),
        false => format!("there is no item “{id}”; it has {}", ids.join(", ")),
    }
}

/// The states that an item can have; the first two follow from its answer.
const STATES: [&str; 4] = ["open", "answered", "resolved", "dismissed"];

fn check_states(terms: &QuestionTerms, given: &Map<String, Value>) -> Vec<String> {
    let items = items_of(terms);
    let mut problems = Vec::new();
    for (id, state) in given {
        if !items.iter().any(|item| item["id"] == id.as_str()) {
            problems.push(no_item(&items, id));
        } else if !state.is_null() && !state.as_str().is_some_and(|state| STATES.contains(&state)) {
            problems.push(format!("the state of item “{id}” is one of: {}", STATES.join(", ")));
        }
    }
    problems
}

/// The state of every item: what people said of it, else whether it has an answer. An answer to an item that is resolved
/// or dismissed keeps that state.
pub(super) fn states(terms: &QuestionTerms, given: &Map<String, Value>) -> Map<String, Value> {
    let of =
        |part: &str, id: &str| given.get(part).and_then(|part| part.get(id)).filter(|part| !part.is_null());
    let state = |item: &Value| {
        let id = item["id"].as_str()?.to_owned();
        let said = of("states", &id)
            .and_then(Value::as_str)
            .filter(|said| matches!(*said, "resolved" | "dismissed"));
        let state = said.unwrap_or(if of("items", &id).is_some() { "answered" } else { "open" });
        Some((id, Value::from(state)))
    };
    items_of(terms).iter().filter_map(state).collect()
}

/// What is given wins over what was saved; items one by one. Null takes a part back.
pub(super) fn merge(saved: &Value, given: &Map<String, Value>) -> Value {
    let mut merged = saved.as_object().cloned().unwrap_or_default();
    for (name, value) in given {
        match (merged.get_mut(name), value) {
            (Some(Value::Object(items)), Value::Object(more)) => items.extend(more.clone()),
            (_, value) => drop(merged.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(merged)
}

/// What an answer says: without the parts that were taken back, each as if it had never been said.
pub(super) fn without_nulls(merged: &Value) -> Map<String, Value> {
    let parts = merged.as_object().into_iter().flatten();
    let said = parts.filter_map(|(name, value)| match value {
        Value::Null => None,
        Value::Object(items) => {
            let items: Map<String, Value> = items
                .iter()
                .filter(|(_, part)| !part.is_null())
                .map(|(id, part)| (id.clone(), part.clone()))
                .collect();
            (!items.is_empty()).then(|| (name.clone(), items.into()))
        }
        value => Some((name.clone(), value.clone())),
    });
    said.collect()
}

/// The required parts that an answer leaves out.
pub(super) fn missing(terms: &QuestionTerms, given: &Map<String, Value>, has_schema: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !terms.options.is_empty() && !given.contains_key("choice") {
        problems.push(format!("choose one of: {}", terms.options.join(", ")));
    }
    let items = items_of(terms);
    let states = states(terms, given);
    let left_out: Vec<&str> = items
        .iter()
        .filter(|item| item["optional"] != true)
        .filter_map(|item| item["id"].as_str())
        .filter(|id| states.get(*id).is_some_and(|state| state == "open"))
        .collect();
    if !left_out.is_empty() {
        problems.push(format!("items without an answer: {}", left_out.join(", ")));
    }
    let text = given.get("text").and_then(Value::as_str).unwrap_or_default();
    if terms.options.is_empty() && items.is_empty() && !has_schema && text.trim().is_empty() {
        problems.push("it wants a text".into());
    }
    problems
}
