//! The parts of a question: what may be chosen, and the items that are answered one by one.

use serde_json::json;

use everfold_base::json::{JsonText, Value};

/// Parts of a question, and options of one.
const ITEMS_MAX: usize = 200;

pub(super) fn read_options(options: Option<&Value>) -> Result<Vec<String>, String> {
    let list = match options {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("`options` is no list".into()),
    };
    if list.len() > ITEMS_MAX {
        return Err(format!("there are more than {ITEMS_MAX} options"));
    }
    let mut options: Vec<String> = Vec::new();
    for option in list {
        let text = match option {
            Value::String(text) if !text.trim().is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err("an option is no text".into()),
        };
        if options.contains(&text) {
            return Err(format!("the option “{text}” stands there twice"));
        }
        options.push(text);
    }
    Ok(options)
}

/// The parts of a question, each `{id, text, options, optional?}`; numbered from 1 where they have no id.
pub(super) fn read_items(items: Option<&Value>) -> Result<Option<JsonText>, String> {
    let list = match items {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.is_empty() => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("`items` is no list".into()),
    };
    if list.len() > ITEMS_MAX {
        return Err(format!("there are more than {ITEMS_MAX} items"));
    }
    let mut read: Vec<Value> = Vec::new();
    for (at, item) in list.iter().enumerate() {
        let number = (at + 1).to_string();
        let (id, text, options, is_optional) = match item {
            Value::String(text) => (number, text.clone(), Vec::new(), false),
            Value::Object(fields) => {
                let id = match fields.get("id") {
                    None | Some(Value::Null) => number,
                    Some(Value::String(id)) if !id.is_empty() => id.clone(),
                    Some(Value::Number(id)) => id.to_string(),
                    Some(_) => return Err(format!("the id of item {} is no text", at + 1)),
                };
                let text = fields.get("text").or(fields.get("title")).and_then(Value::as_str);
                let text = text.ok_or_else(|| format!("item {} has no `text`", at + 1))?;
                let is_optional = match fields.get("optional") {
                    None | Some(Value::Null) => false,
                    Some(Value::Bool(is_optional)) => *is_optional,
                    Some(_) => {
                        return Err(format!("`optional` of item {} is neither true nor false", at + 1));
                    }
                };
                (id, text.to_owned(), read_options(fields.get("options"))?, is_optional)
            }
            _ => return Err(format!("item {} is neither a text nor a map with `text`", at + 1)),
        };
        if read.iter().any(|other| other["id"] == id.as_str()) {
            return Err(format!("two items have the id “{id}”"));
        }
        let mut item = json!({"id": id, "text": text, "options": options});
        if is_optional {
            item["optional"] = json!(true);
        }
        read.push(item);
    }
    Ok(Some(Value::Array(read).into()))
}
