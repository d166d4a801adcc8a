//! Runs in a table, as `runs` and `board` print them: what each does, and a note that says why.

use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use owo_colors::Style;
use serde_json::Value;

use super::table::{Cell, TableColumn, fitted};
use crate::text::{run_style, span};

/// A list of runs; `within` is the width of the terminal.
pub(super) fn list(runs: &[Value], now: Timestamp, within: Option<usize>) -> String {
    let age = |run: &Value| at(run, "started_at").map(|began| span(now.since(began))).unwrap_or_default();
    table(runs, [("AGE", &age), ("TOOK", &|run| took(run, now))], within)
}

/// The cards of a board's column, or runs by what they cost: the cost takes the place of the age.
pub(super) fn cards(runs: &[Value], now: Timestamp, within: Option<usize>) -> String {
    let cost = |run: &Value| cost(run["usage"]["cost_usd"].as_str().unwrap_or_default());
    table(runs, [("TOOK", &|run| took(run, now)), ("COST", &cost)], within)
}

/// A figure of a run: its head, and its text.
type RunFigure<'a> = (&'static str, &'a dyn Fn(&Value) -> String);

/// Runs with two figures of each, between what they are and what they are about.
fn table(runs: &[Value], figures: [RunFigure<'_>; 2], within: Option<usize>) -> String {
    let [first, second] = figures;
    let columns = [
        TableColumn::fixed("RUN"),
        TableColumn::fixed("STATUS"),
        TableColumn::text("PIPELINE"),
        TableColumn::fixed(first.0),
        TableColumn::fixed(second.0),
        TableColumn::text("TITLE"),
        TableColumn::text("NOTE"),
    ];
    let row = |run: &Value| -> [Cell; 7] {
        [
            text(run, "short_id").into(),
            status(run),
            text(run, "pipeline").into(),
            first.1(run).into(),
            second.1(run).into(),
            title(run).into(),
            note(run).into(),
        ]
    };
    let rows: Vec<[Cell; 7]> = runs.iter().map(row).collect();
    fitted(columns, &rows, within)
}

fn text(run: &Value, name: &str) -> String {
    run[name].as_str().unwrap_or_default().to_owned()
}

/// The title, behind the run's number where it has one.
fn title(run: &Value) -> String {
    let title = text(run, "title");
    match run["number"].as_u64() {
        Some(number) => format!("#{number} {title}").trim_end().to_owned(),
        None => title,
    }
}

fn at(run: &Value, name: &str) -> Option<Timestamp> {
    run[name].as_str().and_then(|text| text.parse().ok())
}

fn took(run: &Value, now: Timestamp) -> String {
    let began = at(run, "started_at");
    began.map(|began| span(at(run, "ended_at").unwrap_or(now).since(began))).unwrap_or_default()
}

fn status(run: &Value) -> Cell {
    if run["set_aside"].is_string() {
        return Cell::styled("set aside", Style::new().red().bold());
    }
    let status: Option<RunStatus> = serde_json::from_value(run["status"].clone()).ok();
    Cell::styled(text(run, "status"), status.map(run_style).unwrap_or_default())
}

/// Why a run stands where it stands: why it is set aside, how it failed, why it is paused, whom it waits for, else the
/// steps that something goes on in.
fn note(run: &Value) -> String {
    if let Some(why) = run["set_aside"].as_str().or(run["note"].as_str()) {
        return why.to_owned();
    }
    let mut waits: Vec<String> = run["awaits"].as_array().into_iter().flatten().map(awaited).collect();
    waits.dedup();
    let steps = run["active_steps"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let steps: Vec<&str> = steps.collect();
    if waits.is_empty() { steps.join(", ") } else { waits.join(", ") }
}

/// Who is awaited at which step, and for what.
fn awaited(awaits: &Value) -> String {
    let roles: Vec<&str> =
        awaits["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let who = if roles.is_empty() { "anyone".to_owned() } else { roles.join(" or ") };
    let [step, kind] = ["step", "kind"].map(|name| awaits[name].as_str().unwrap_or_default());
    format!("{step}: {who} ({kind})")
}

/// Money in a column of a table: as many digits as it needs, nothing for nothing.
fn cost(usd: &str) -> String {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    let part = part.trim_end_matches('0');
    match (whole, part) {
        ("" | "0", "") => String::new(),
        _spent => format!("{whole}.{part:0<2} USD"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runs() -> Vec<Value> {
        let run = |short: &str, more: Value| {
            let mut run = json!({
                "short_id": short, "status": "running", "pipeline": "a-pipeline-with-a-long-name", "title": "Write every number as a Roman one",
                "started_at": "2026-11-20T10:00:00Z", "ended_at": null, "note": null, "set_aside": null,
                "active_steps": ["build", "lint"], "awaits": [], "usage": { "cost_usd": "12.345600" },
            });
            run.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            run
        };
        vec![
            run("5b8093ed", json!({})),
            run(
                "0d3a34b4",
                json!({ "status": "waiting", "awaits": [{ "step": "approve", "kind": "approval", "roles": ["product"] }] }),
            ),
            run(
                "1d3a34b4",
                json!({ "status": "failed", "ended_at": "2026-11-20T10:03:05Z", "note": "exit 1: 5 tests passed, 5 failed" }),
            ),
            run("2d3a34b4", json!({ "set_aside": "its event 7 cannot be read" })),
        ]
    }

    #[test]
    fn runs_and_cards_fit_80_columns_and_less_and_a_pipe_gets_all_of_them() {
        let now = "2026-11-24T11:00:00Z".parse().unwrap();
        for within in [80, 60, 40] {
            for table in [list(&runs(), now, Some(within)), cards(&runs(), now, Some(within))] {
                let table = anstream::adapter::strip_str(&table).to_string();
                assert!(table.lines().all(|line| line.chars().count() <= within), "{table}");
                assert!(
                    table.lines().count() == 5 && table.contains("set aside") && table.contains("4d01h"),
                    "{table}"
                );
            }
        }
        let whole = anstream::adapter::strip_str(&list(&runs(), now, None)).to_string();
        for wanted in [
            "Roman one  build, lint",
            "approve: product (approval)",
            "exit 1: 5 tests passed, 5 failed",
            "its event 7 cannot be read",
            "4d01h",
        ] {
            assert!(whole.contains(wanted), "{wanted}: {whole}");
        }
        assert!(list(&runs(), now, None).contains("\u{1b}["), "states have colours");
    }
}
