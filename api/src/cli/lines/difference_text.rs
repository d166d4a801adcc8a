//! What is different between two values, as lines.

use serde_json::Value;

use crate::compare::ValueDifference;
use crate::text::cut;

/// Columns of a value.
const VALUE_COLUMNS: usize = 400;

/// Adds the value before and the one after, each with its path behind `indent` and what stands in front of it. Null has a
/// line only where the other side has nothing: beside a value it says no more than that there was none.
pub(crate) fn difference_lines(before: &str, difference: &ValueDifference, lines: &mut Vec<String>) {
    let ValueDifference { path, before: former, after } = difference;
    let name = before.trim_start();
    let indent = before.len() - name.len();
    for (mark, value, other) in [("-", former, after), ("+", after, former)] {
        if let Some(value) = value.as_ref().filter(|value| **value != Value::Null || other.is_none()) {
            lines.push(format!(
                "{:indent$}{mark} {name}{path}: {}",
                "",
                cut(&value.to_string(), VALUE_COLUMNS)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_has_a_line_also_between_null_and_nothing() {
        let lines = |before: Option<Value>, after: Option<Value>| {
            let mut lines = Vec::new();
            difference_lines("  build.", &ValueDifference { path: "x".into(), before, after }, &mut lines);
            lines
        };
        let (null, one) = (Some(Value::Null), Some(json!(1)));
        assert_eq!(lines(None, null.clone()), ["  + build.x: null"]);
        assert_eq!(lines(null.clone(), None), ["  - build.x: null"]);
        assert_eq!(lines(null.clone(), one.clone()), ["  + build.x: 1"]);
        assert_eq!(lines(one.clone(), null), ["  - build.x: 1"]);
        assert_eq!(lines(one.clone(), Some(json!(2))), ["  - build.x: 1", "  + build.x: 2"]);
        assert_eq!(lines(None, one), ["  + build.x: 1"]);
    }
}
