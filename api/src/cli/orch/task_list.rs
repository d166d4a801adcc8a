//! Tasks in a table.

use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use owo_colors::Style;
use serde_json::Value;

use crate::cli::table::{Cell, TableColumn, fitted};
use crate::text::{cut, run_style, span};

/// What the table shows of a text: one task that was refused in many words does not make all rows as long.
const CELL_CHARS: usize = 60;

/// A list of tasks; `within` is the width of the terminal.
pub(super) fn list(tasks: &[Value], now: Timestamp, within: Option<usize>) -> String {
    let columns = [
        TableColumn::fixed("ITEM"),
        TableColumn::fixed("STAGE"),
        TableColumn::fixed("STATE"),
        TableColumn::fixed("FOR"),
        TableColumn::fixed("ROUNDS"),
        TableColumn::fixed("COST"),
        TableColumn::text("WHO"),
        TableColumn::text("TITLE"),
    ];
    let row = |task: &Value| -> [Cell; 8] {
        [
            name(task).into(),
            text(task, "stage").into(),
            state(task),
            age(&task["stage_since"], now).into(),
            rounds(task).into(),
            cost(task).into(),
            cut(&who(task, now), CELL_CHARS).into(),
            cut(&text(task, "title"), CELL_CHARS).into(),
        ]
    };
    fitted(columns, &tasks.iter().map(row).collect::<Vec<_>>(), within)
}

/// The work item; of a run that names none its short id.
pub(super) fn name(task: &Value) -> String {
    task["item"].as_str().or(task["short_id"].as_str()).unwrap_or_default().to_owned()
}

pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn state(task: &Value) -> Cell {
    if task["stuck"] == true {
        return Cell::styled("stuck", Style::new().red().bold());
    }
    let status: Option<RunStatus> = serde_json::from_value(task["status"].clone()).ok();
    Cell::styled(text(task, "tracker"), status.map(run_style).unwrap_or_default())
}

/// How long ago a time is.
pub(super) fn age(at: &Value, now: Timestamp) -> String {
    let at: Option<Timestamp> = at.as_str().and_then(|text| text.parse().ok());
    at.map(|at| span(now.since(at))).unwrap_or_default()
}

/// `2/3` of the steps whose rounds are limited.
fn rounds(task: &Value) -> String {
    let limited = task["rounds"].as_array().into_iter().flatten().filter(|of| of["max"].is_u64());
    limited.map(|of| format!("{}/{}", of["used"], of["max"])).collect::<Vec<_>>().join(" ")
}

fn cost(task: &Value) -> String {
    let cost = text(task, "cost_usd").parse::<f64>().unwrap_or_default();
    if cost > 0.0 { format!("{cost:.2} USD") } else { String::new() }
}

/// Why it is stuck, whom it waits for and since when, who is at work, and what goes on by itself when.
pub(super) fn who(task: &Value, now: Timestamp) -> String {
    if let Some(why) = task["set_aside"].as_str() {
        return why.to_owned();
    }
    let waits = task["waits"].as_array().into_iter().flatten().map(|wait| waited(wait, now));
    let works = task["work"].as_array().into_iter().flatten().map(|work| worked(work, now));
    let pauses = task["pauses"].as_array().into_iter().flatten().map(|pause| paused(pause, now));
    let mut all: Vec<String> = waits.chain(works).collect();
    if let (true, Some(reason)) = (all.is_empty(), task["pending"]["reason"].as_str()) {
        return reason.to_owned();
    }
    all.extend(pauses);
    if all.is_empty() || task["status"] == "paused" {
        // Paused or failed it does nothing, and says why.
        return standstill(task).into_iter().chain(all).collect::<Vec<_>>().join(", ");
    }
    all.join(", ")
}

/// Why a task does nothing until a person acts on its run.
fn standstill(task: &Value) -> Option<String> {
    let status = task["status"].as_str().filter(|status| matches!(*status, "paused" | "failed"))?;
    Some(task["note"].as_str().map_or_else(|| status.to_owned(), |note| format!("{status}: {note}")))
}

fn waited(wait: &Value, now: Timestamp) -> String {
    let roles: Vec<&str> = wait["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let whom = if roles.is_empty() { "people".to_owned() } else { roles.join(" or ") };
    format!("{whom} ({}, {})", text(wait, "kind"), age(&wait["since"], now))
}

/// `developer again in 4m00s (RATE_LIMITED)`.
fn paused(pause: &Value, now: Timestamp) -> String {
    let at: Option<Timestamp> = pause["at"].as_str().and_then(|text| text.parse().ok());
    let left = at.map(|at| span(at.since(now))).unwrap_or_default();
    let why = pause["why"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
    let again = if pause["kind"] == "wait" { "goes on" } else { "again" };
    format!("{} {again} in {left}{why}", text(pause, "step"))
}

fn worked(work: &Value, now: Timestamp) -> String {
    let attempt = format!("{} {}.{}", text(work, "step"), work["round"], work["attempt"]);
    let held = &work["waits_for"];
    if held.is_object() {
        return format!("{attempt} waits for {} {}", text(held, "awaits"), age(&held["since"], now));
    }
    match work["started_at"].is_string() {
        true => format!("{attempt} {}", age(&work["started_at"], now)),
        false => format!("{attempt} in line {}", age(&work["since"], now)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(item: &str, more: Value) -> Value {
        let mut task = json!({
            "item": item, "short_id": "5b8093ed", "stage": "review", "stage_since": "2026-11-20T10:50:00Z", "tracker": "review",
            "status": "running", "stuck": false, "set_aside": null, "title": "Roman numerals", "cost_usd": "0.310000",
            "rounds": [{ "step": "developer", "used": 2, "max": 3, "causes": { "check_ci_green": 1 } }],
            "waits": [], "work": [{ "step": "reviewer", "round": 2, "attempt": 1, "since": "2026-11-20T10:55:00Z", "started_at": "2026-11-20T10:56:00Z" }],
        });
        task.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        task
    }

    #[test]
    fn a_task_that_was_refused_in_many_words_does_not_widen_the_table_of_all() {
        let words = "a title of far too many words ".repeat(20);
        let refused = json!({ "status": "failed", "note": words, "title": words, "work": [] });
        let tasks = [task("ET-018", json!({})), task("ET-019", refused)];
        let shown = list(&tasks, "2026-11-20T11:00:00Z".parse().unwrap(), None);
        assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
    }

    #[test]
    fn what_a_task_waits_for_stands_where_the_one_at_work_would() {
        let now = "2026-11-20T11:00:00Z".parse().unwrap();
        let held = json!({ "awaits": "the login of claude", "since": "2026-11-20T10:50:00Z" });
        let login = json!({ "work": [{ "step": "analyst", "round": 1, "attempt": 1, "waits_for": held }] });
        assert_eq!(who(&task("ET-018", login), now), "analyst 1.1 waits for the login of claude 10m00s");
        let again = json!([{ "step": "turn", "kind": "wait", "at": "2026-11-20T11:09:00Z" }]);
        let other = json!({ "work": [], "pending": { "reason": "waits for ET-012" }, "pauses": again });
        assert_eq!(who(&task("ET-018", other), now), "waits for ET-012");
    }

    #[test]
    fn o090_a_list_of_tasks_shows_used_of_max_and_whom_a_task_waits_for_since_when() {
        let waits = json!([{ "kind": "approval", "step": "approve", "roles": ["owner"], "since": "2026-11-20T09:00:00Z" }]);
        let pauses = json!([{ "step": "developer", "kind": "retry", "at": "2026-11-20T11:04:00Z", "why": "RATE_LIMITED" }]);
        let tasks = [
            task("ET-018", json!({})),
            task(
                "ET-019",
                json!({ "tracker": "in_review", "status": "waiting", "work": [], "waits": waits }),
            ),
            task("ET-020", json!({ "stuck": true, "work": [], "status": "waiting" })),
            task("ET-021", json!({ "status": "waiting", "work": [], "pauses": pauses })),
        ];
        let now = "2026-11-20T11:00:00Z".parse().unwrap();
        let whole = anstream::adapter::strip_str(&list(&tasks, now, None)).to_string();
        insta::assert_snapshot!(whole, @r"
        ITEM    STAGE   STATE      FOR     ROUNDS  COST      WHO                                      TITLE
        ET-018  review  review     10m00s  2/3     0.31 USD  reviewer 2.1 4m00s                       Roman numerals
        ET-019  review  in_review  10m00s  2/3     0.31 USD  owner (approval, 2h00m)                  Roman numerals
        ET-020  review  stuck      10m00s  2/3     0.31 USD                                           Roman numerals
        ET-021  review  review     10m00s  2/3     0.31 USD  developer again in 4m00s (RATE_LIMITED)  Roman numerals
        ");
        let narrow = anstream::adapter::strip_str(&list(&tasks, now, Some(80))).to_string();
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    }
}
