//! The `output` of a run: of one that succeeded all of it, of one that failed what can be rendered.
//!
//! Law: what cannot be rendered is another failure of a run that would succeed, and a warning of one that failed; and so
//! is a value that cannot be read: a run that failed ends.

use super::draft::{Draft, Interrupt, settled};
use super::scope::RunScope;
use crate::event::FailedResult;
use everfold_base::failure::Failure;
use everfold_base::json::{Payload, Value};
use everfold_language::expr::{EvalError, Loaded, Template, ValueRef};

/// The fields of a failed run's output that are named as missing, and how much is said of each.
const PROBLEMS_MAX: usize = 16;
const PROBLEM_CHARS_MAX: usize = 300;
/// What is said of a value that was kept and is not to be had any more.
const LOST: &str = "a value that it needs cannot be read";

/// The output of a run that succeeds.
pub(super) fn of(draft: &mut Draft<'_>) -> Result<Result<Payload, Failure>, Interrupt> {
    let definition = draft.state.definition().clone();
    let output = match &definition.output {
        None => Ok(Value::Null),
        Some(output) => settled(output.render(&RunScope::run(draft.state, draft.loaded)))?,
    };
    Ok(output.map(|output| draft.payload_of(&output)))
}

/// The output of a run that fails, field by field: null stands for what cannot be rendered.
pub(super) fn of_failed(draft: &mut Draft<'_>) -> Result<Option<FailedResult>, Interrupt> {
    let definition = draft.state.definition().clone();
    let Some(template) = &definition.output else { return Ok(None) };
    let (output, problems) = {
        let loaded = draft.loaded;
        let scope = RunScope::run(draft.state, loaded);
        match template.source() {
            Value::Object(fields) => by_field(fields, &scope, loaded)?,
            _one_value => match template.render(&scope) {
                Err(EvalError::Needs(values)) if has_lost(loaded, &values) => {
                    (Value::Null, vec![LOST.to_owned()])
                }
                rendered => match settled(rendered)? {
                    Ok(value) => (value, Vec::new()),
                    Err(failure) => (Value::Null, vec![shortened(&failure.message)]),
                },
            },
        }
    };
    let output = draft.payload_of(&output);
    Ok(Some(FailedResult { output, problems }))
}

fn by_field(
    fields: &serde_json::Map<String, Value>,
    scope: &RunScope<'_>,
    loaded: &Loaded,
) -> Result<(Value, Vec<String>), Interrupt> {
    let (mut output, mut problems, mut missing) = (serde_json::Map::new(), Vec::new(), Vec::new());
    for (name, source) in fields {
        let rendered = match Template::parse(source) {
            Ok(template) => template.render(scope),
            // The whole was compiled when the pipeline was read.
            Err(error) => Err(EvalError::Failed {
                expression: source.to_string(),
                message: error.to_string(),
                code: None,
            }),
        };
        let value = match rendered {
            Ok(value) => value,
            Err(EvalError::Needs(values)) if has_lost(loaded, &values) => {
                problems.push(shortened(&format!("{name}: {LOST}")));
                Value::Null
            }
            Err(EvalError::Needs(values)) => {
                missing.extend(values);
                continue;
            }
            Err(failed @ EvalError::Failed { .. }) => {
                problems.push(shortened(&format!("{name}: {failed}")));
                Value::Null
            }
        };
        output.insert(name.clone(), value);
    }
    if !missing.is_empty() {
        return Err(Interrupt::Needs(missing));
    }
    problems.truncate(PROBLEMS_MAX);
    Ok((Value::Object(output), problems))
}

/// Whether one of these values cannot be read: waiting for it would keep the run from ending.
fn has_lost(loaded: &Loaded, values: &[ValueRef]) -> bool {
    values.iter().any(|value| loaded.lost(value).is_some())
}

fn shortened(message: &str) -> String {
    message.chars().take(PROBLEM_CHARS_MAX).collect()
}
