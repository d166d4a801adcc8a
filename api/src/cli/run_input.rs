//! The input that arguments give a run.

use everfold_engine::definition::input;
use serde_json::{Value, json};

use super::args::RunArgs;
use super::files;
use super::key_values::pairs;
use crate::fault::{Code, Fault};

/// The input that the arguments give: the file's, with single values put over it.
///
/// # Errors
/// The file cannot be read, or holds no object.
pub(super) fn input_of(args: &RunArgs, schema: Option<&Value>) -> Result<Value, Fault> {
    let whole = match &args.input_file {
        Some(path) => match files::json(path)? {
            Value::Object(fields) => Value::Object(fields),
            _other => {
                return Err(Fault::new(Code::File, format!("{} holds no JSON object", path.display()))
                    .hint("the input is a map of fields: {\"repo\": \"shop\"}"));
            }
        },
        None => json!({}),
    };
    with_single(args, schema, whole)
}

/// An input with the single values of the arguments put over it.
///
/// # Errors
/// It is no object, and there are such values.
pub(super) fn with_single(args: &RunArgs, schema: Option<&Value>, mut whole: Value) -> Result<Value, Fault> {
    let given = pairs("-i", &args.input)?;
    let single = input::from_pairs(schema, given.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    match (&mut whole, single) {
        (Value::Object(whole), Value::Object(single)) => whole.extend(single),
        (_, Value::Object(single)) if single.is_empty() => {}
        _no_object => {
            return Err(Fault::new(Code::Usage, "-i sets fields, but the input file holds no JSON object"));
        }
    }
    Ok(whole)
}
