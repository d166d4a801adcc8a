//! What a refusal says beside its fields.

use serde_json::Value;

use crate::problem::Problem;

/// The single faults of a problem, for readers, as far as no field shows them.
pub(crate) fn left_errors(problem: &Problem) -> Vec<String> {
    let line = |error: &Value| {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let message = text("message")?;
        let place = text("path").map(|path| format!("{path}: ")).unwrap_or_default();
        let hint = text("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
        Some(format!("{place}{message}{hint}"))
    };
    problem.errors.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_field_shows_is_told_with_its_place_and_hint() {
        let problem = Problem {
            errors: vec![
                json!({ "path": "input", "message": "too large", "hint": "less" }),
                json!({ "message": "no" }),
            ],
            ..Problem::default()
        };
        assert_eq!(left_errors(&problem), ["input: too large (less)", "no"]);
    }
}
