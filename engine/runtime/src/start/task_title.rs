//! The title of a run that was given none.
//!
//! Law: the first line of the text `task` of its input, whatever starts the run: a person, a trigger, a schedule, a parent.
//! It is taken from the input as it is kept, in which secrets are masked already.

use everfold_base::json::Value;
use everfold_base::text::one_line;

/// The longest title that is taken from a task.
const CHARS_MAX: usize = 80;

/// The first line of the task, where the input has one.
pub(crate) fn title_of_task(input: &Value) -> Option<String> {
    let line = input["task"].as_str()?.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = one_line(line);
    if line.is_empty() || line.chars().count() <= CHARS_MAX {
        return Some(line.into_owned()).filter(|line| !line.is_empty());
    }
    Some(line.chars().take(CHARS_MAX - 1).chain("…".chars()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_without_a_title_has_its_task_as_one() {
        let title = |task: Value| title_of_task(&json!({ "task": task }));
        assert_eq!(title(json!("\n  Add a dark mode\nand more")).as_deref(), Some("Add a dark mode"));
        assert_eq!(title(json!("x".repeat(200))).map(|it| it.chars().count()), Some(80));
        assert_eq!(title(json!("a\tb\u{202e}")).as_deref(), Some("a b"));
        assert_eq!(title(json!(7)).or(title(json!("  "))).or(title(json!("\u{7}"))), None);
        assert_eq!(title_of_task(&json!(null)).or(title_of_task(&json!("task"))), None);
    }
}
