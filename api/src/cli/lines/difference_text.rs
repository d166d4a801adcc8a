//! What is different between two values, as lines.

use crate::compare::ValueDifference;
use crate::text::cut;

/// Columns of a value.
const VALUE_COLUMNS: usize = 400;

/// Adds the value before and the one after, each with its path behind `indent` and what stands in front of it.
pub(crate) fn difference_lines(before: &str, difference: &ValueDifference, lines: &mut Vec<String>) {
    let ValueDifference { path, before: former, after } = difference;
    let name = before.trim_start();
    let indent = before.len() - name.len();
    for (mark, value) in [("-", former), ("+", after)] {
        if let Some(value) = value {
            lines.push(format!(
                "{:indent$}{mark} {name}{path}: {}",
                "",
                cut(&value.to_string(), VALUE_COLUMNS)
            ));
        }
    }
}
