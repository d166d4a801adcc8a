//! An item of the inbox as a form that a client shows its user, and the filled-in form as a decision.

use rmcp::model::InputRequest;
use serde_json::{Map, Value, json};

use crate::inbox_item::InboxItem;
use crate::problem::RestProblem;
use crate::rest::{RestCaller, encoded};

/// Characters of what an item shows that stand in the message of a form.
const SHOWN_MAX: usize = 4_000;
/// The field of a form that answers an item of a question begins with it.
const ITEM_FIELD: &str = "item_";

/// What names an item and its version in the requests of a task.
pub(crate) fn key(item: &InboxItem) -> String {
    format!("{}@{}", item.id(), item.version())
}

/// The name of the item in a key.
pub(crate) fn item_of(key: &str) -> Option<&str> {
    key.rsplit_once('@').map(|(item, _)| item)
}

/// The form that asks what an item asks.
pub(crate) fn form(item: &InboxItem) -> Option<InputRequest> {
    let (properties, required) = match item.kind() {
        "approval" => approval(item),
        "question" => question(item),
        "blocked" => blocked(),
        "budget" => budget(),
        _other => return None,
    };
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let params = json!({ "mode": "form", "message": message(item), "requestedSchema": schema });
    serde_json::from_value(json!({ "method": "elicitation/create", "params": params })).ok()
}

fn message(item: &InboxItem) -> String {
    let mut lines = Vec::new();
    for name in ["title", "text", "message"] {
        match item.field(name) {
            Value::String(text) => lines.push(text.clone()),
            Value::Null => {}
            other => lines.push(other.to_string()),
        }
    }
    for shown in item.field("show").as_array().into_iter().flatten() {
        lines.push(shown.as_str().map_or_else(|| shown.to_string(), str::to_owned));
    }
    let value = item.field("value");
    if !value.is_null() {
        lines.push(value.to_string());
    }
    lines.retain(|line| !line.is_empty());
    let mut message = format!("{} ({})", lines.join("\n"), item.id());
    if let Some((end, _)) = message.char_indices().nth(SHOWN_MAX) {
        message.truncate(end);
        message.push('…');
    }
    message
}

type Fields = (Map<String, Value>, Vec<String>);

fn fields<const N: usize>(fields: [(&str, Value); N], required: &[&str]) -> Fields {
    let properties = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    (properties, required.iter().map(|name| (*name).to_owned()).collect())
}

fn choice(title: &str, options: &[&str]) -> Value {
    json!({ "type": "string", "title": title, "enum": options })
}

fn text(title: &str) -> Value {
    json!({ "type": "string", "title": title })
}

fn approval(item: &InboxItem) -> Fields {
    let mut decisions = vec!["approve", "reject"];
    if item.field("changes") == true {
        decisions.push("changes");
    }
    fields([("decision", choice("Decision", &decisions)), ("comment", text("Comment"))], &["decision"])
}

fn question(item: &InboxItem) -> Fields {
    let options = |of: &Value| -> Vec<String> {
        of.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (mut properties, mut required) = fields([], &[]);
    let own = options(item.field("options"));
    if !own.is_empty() {
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        properties.insert("choice".to_owned(), choice("Choice", &own));
        required.push("choice".to_owned());
    }
    for part in item.field("items").as_array().into_iter().flatten() {
        let Some(id) = part["id"].as_str() else { continue };
        let title = part["text"].as_str().unwrap_or(id);
        let options = options(&part["options"]);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let schema = if options.is_empty() { text(title) } else { choice(title, &options) };
        properties.insert(format!("{ITEM_FIELD}{id}"), schema);
        if part["optional"] != true {
            required.push(format!("{ITEM_FIELD}{id}"));
        }
    }
    if properties.is_empty() {
        required.push("text".to_owned());
    }
    properties.insert("text".to_owned(), text("Answer"));
    (properties, required)
}

fn blocked() -> Fields {
    let decisions = ["retry", "recheck", "proceed", "skip", "fail"];
    fields([("decision", choice("How it goes on", &decisions)), ("reason", text("Reason"))], &["decision"])
}

fn budget() -> Fields {
    fields([("add_usd", text("Raise it by US dollars")), ("reason", text("Reason"))], &["add_usd"])
}

/// Sends what a form was filled in with.
pub(crate) async fn decide(
    rest: &RestCaller,
    run: &str,
    item: &InboxItem,
    content: &Value,
) -> Result<(), RestProblem> {
    let said = |name: &str| content[name].as_str().filter(|said| !said.is_empty());
    let lacks = |name: &str| RestProblem::invalid(format!("the form of {} has no `{name}`", item.id()));
    let run = encoded(run);
    let (path, body) = match item.kind() {
        "approval" => {
            let decision = said("decision").ok_or_else(|| lacks("decision"))?;
            (format!("/inbox/{}", encoded(item.id())), item.vote(decision, said("comment"), None))
        }
        "question" => (format!("/inbox/{}", encoded(item.id())), answers(content)),
        "blocked" => {
            let decision = said("decision").ok_or_else(|| lacks("decision"))?;
            let body = json!({ "step": item.field("step"), "decision": decision, "reason": said("reason") });
            (format!("/runs/{run}/unblock"), body)
        }
        _budget => {
            let add = said("add_usd").ok_or_else(|| lacks("add_usd"))?;
            let body = json!({ "budget": item.field("budget"), "add": add, "reason": said("reason") });
            (format!("/runs/{run}/budget"), body)
        }
    };
    // The item's version is in the key: the same form sent twice decides once.
    rest.post(&path, &body, Some(&format!("mcp-{}", encoded(&key(item))))).await.map(|_view| ())
}

fn answers(content: &Value) -> Value {
    let mut answers = Map::new();
    let mut items = Map::new();
    for (name, value) in content.as_object().into_iter().flatten() {
        if value.as_str().is_some_and(str::is_empty) {
            continue;
        }
        match name.strip_prefix(ITEM_FIELD) {
            Some(id) => drop(items.insert(id.to_owned(), value.clone())),
            None => drop(answers.insert(name.clone(), value.clone())),
        }
    }
    if !items.is_empty() {
        answers.insert("items".to_owned(), Value::Object(items));
    }
    json!({ "answers": answers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(fields: Value) -> InboxItem {
        InboxItem::listed(&fields).unwrap()
    }

    fn asked(fields: Value) -> Value {
        serde_json::to_value(form(&item(fields)).unwrap()).unwrap()
    }

    #[test]
    fn an_approval_is_a_form_with_the_decisions_that_it_offers() {
        let form = asked(json!({
            "kind": "approval", "id": "5b80:sign:1", "title": "Ship it?", "show": ["3 files"],
            "terms": { "changes": true, "roles": [] },
        }));
        assert_eq!(form["method"], "elicitation/create");
        let params = &form["params"];
        assert_eq!(params["message"], "Ship it?\n3 files (5b80:sign:1)");
        let decision = &params["requestedSchema"]["properties"]["decision"];
        assert_eq!(decision["enum"], json!(["approve", "reject", "changes"]));
        assert_eq!(params["requestedSchema"]["required"], json!(["decision"]));
    }

    #[test]
    fn a_question_is_a_form_with_its_options_and_its_items() {
        let form = asked(json!({
            "kind": "question", "id": "5b80:ask:1", "title": "Which?",
            "terms": { "options": ["red", "blue"], "items": [
                { "id": "who", "text": "Who?" }, { "id": "when", "options": ["today"], "optional": true },
            ] },
        }));
        let schema = &form["params"]["requestedSchema"];
        assert_eq!(schema["properties"]["choice"]["enum"], json!(["red", "blue"]));
        assert_eq!(schema["properties"]["item_who"]["title"], "Who?");
        assert_eq!(schema["required"], json!(["choice", "item_who"]));
        let sent = answers(&json!({ "choice": "red", "item_who": "sales", "text": "" }));
        assert_eq!(sent, json!({ "answers": { "choice": "red", "items": { "who": "sales" } } }));
    }

    #[test]
    fn a_key_names_the_item() {
        let item = item(json!({ "kind": "question", "id": "5b80:ask.a@b:1", "title": "Which?" }));
        assert_eq!(item_of(&key(&item)), Some("5b80:ask.a@b:1"));
    }
}
