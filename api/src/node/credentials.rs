//! Pipelines that hold a credential: it would stand in the store, in each attempt's folder and on screens.
//!
//! Law: the text is searched, which knows the line, and all that is read of it: an escape in a quoted text hides nothing.

use everfold_engine::definition::Definition;
use serde_json::Value;

use crate::fault::{Code, Fault};

/// Gives the name of the pattern that finds something in a text, and the line.
type Find<'a> = &'a dyn Fn(&str) -> Option<(String, usize)>;

/// Refuses a text that holds a credential.
///
/// # Errors
/// [`Code::BadPipeline`] with the line and the pattern.
pub(crate) fn refuse_in_text(find: Find<'_>, name: &str, text: &str) -> Result<(), Fault> {
    match find(text) {
        Some((pattern, line)) => Err(credential_fault(name, &pattern, line)),
        None => Ok(()),
    }
}

/// A text of a pipeline holds a credential.
pub(crate) fn credential_fault(name: &str, pattern: &str, line: usize) -> Fault {
    refused(format!("{name}:{line}: a credential stands here ({pattern})"))
}

/// Refuses a pipeline that holds a credential in any of its texts, those of its prompts and roles included.
///
/// # Errors
/// [`Code::BadPipeline`] with the step and the pattern.
pub(crate) fn refuse_in_definition(find: Find<'_>, name: &str, definition: &Definition) -> Result<(), Fault> {
    let read = serde_json::to_value(definition)
        .map_err(|error| Fault::new(Code::Internal, format!("{name}: {error}")))?;
    let Some(pattern) = first(find, &read) else { return Ok(()) };
    let steps = read["steps"].as_array().into_iter().flatten();
    let holds = |step: &&Value| first(find, step).is_some();
    let place = match steps.into_iter().find(holds).and_then(|step| step["id"].as_str()) {
        Some(step) => format!("in a text of step “{step}”"),
        None => "in a text of the pipeline".to_owned(),
    };
    Err(refused(format!("{name}: a credential stands {place} ({pattern})")))
}

fn first(find: Find<'_>, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(find(text)?.0),
        Value::Array(items) => items.iter().find_map(|item| first(find, item)),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| find(name).map(|(pattern, _)| pattern).or_else(|| first(find, value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn refused(message: String) -> Fault {
    Fault::new(Code::BadPipeline, message).hint(
        "declare it under `secrets` and name it there; where it is none, add the pattern to `except` under [redact] in everfold.toml",
    )
}
