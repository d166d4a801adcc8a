//! The input of a run against the pipeline's schema.

use crate::json::Value;

/// Where and how an input does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InputProblem {
    /// A JSON pointer.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// Checks an input.
///
/// # Errors
/// Every problem.
pub fn check(schema: &Value, value: &Value) -> Result<Value, Vec<InputProblem>> {
    let problem = |path: String, message: String| InputProblem { path, message };
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| vec![problem("schema".into(), error.to_string())])?;
    let problems: Vec<_> = validator
        .iter_errors(value)
        .map(|error| problem(error.instance_path().to_string(), error.to_string()))
        .collect();
    if problems.is_empty() { Ok(value.clone()) } else { Err(problems) }
}
