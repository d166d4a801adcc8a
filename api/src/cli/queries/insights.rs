//! `insights`: what the history of runs shows, each with the query behind it.

use std::time::Duration;

use serde_json::Value;

use crate::body::insights::{InsightAnswer, InsightsAnswer};
use crate::cli::args::InsightsArgs;
use crate::cli::context::CommandContext;
use crate::cli::moments::{moment_param, time_param};
use crate::cli::output::{columns, note};
use crate::cli::table::{Cell, TableColumn, fitted_rows};
use crate::client::query;
use crate::fault::Fault;
use crate::text::{count, span};

pub(crate) async fn run(context: &CommandContext, args: InsightsArgs) -> Result<u8, Fault> {
    let number = |number: Option<usize>| number.map(|number| number.to_string());
    let is_narrowed = args.pipeline.is_some() || args.since.is_some() || args.at.is_some();
    let params = query([
        ("only", (!args.only.is_empty()).then(|| args.only.join(","))),
        ("pipeline", args.pipeline),
        ("since", time_param("--since", args.since.as_ref())?),
        ("at", moment_param("--at", args.at.as_ref())?),
        ("runs", number(args.runs)),
        ("at_least", number(args.at_least)),
        ("limit", number(args.limit)),
    ]);
    let answer: InsightsAnswer = context.client.get(&format!("/api/v1/insights{params}")).await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    if answer.runs == 0 && !args.queries {
        context.out.line(match is_narrowed {
            true => "No run fits, so there is nothing to learn from.",
            false => {
                "There are no runs yet. Insights come from what runs did: `everfold run PIPELINE` starts one."
            }
        });
        return Ok(0);
    }
    context.out.line(text(&answer, args.queries, columns()));
    for item in answer.items.iter().filter(|item| item.truncated.is_some()) {
        note(format!(
            "{}: there are more than these {}: --limit N shows up to 1000",
            item.name,
            count(item.rows.len() as u64, "row")
        ));
    }
    Ok(0)
}

fn text(answer: &InsightsAnswer, with_queries: bool, within: Option<usize>) -> String {
    let parts = answer.items.iter().map(|item| insight(item, with_queries, within));
    std::iter::once(of_runs(answer.runs, answer.ended)).chain(parts).collect::<Vec<_>>().join("\n\n")
}

/// Of how many runs the insights are.
fn of_runs(runs: u64, ended: u64) -> String {
    match (runs, ended) {
        (0, _) => "No run fits.".to_owned(),
        (1, 0) => "Of the one run that fits, which has not ended.".to_owned(),
        (1, _) => "Of the one run that fits, which has ended.".to_owned(),
        (runs, 0) => format!("Of the newest {runs} runs, none of which has ended."),
        (runs, 1) => format!("Of the newest {runs} runs, one of which has ended."),
        (runs, ended) if ended == runs => format!("Of the newest {runs} runs, all of which have ended."),
        (runs, ended) => format!("Of the newest {runs} runs, {ended} of which have ended."),
    }
}

fn insight(item: &InsightAnswer, with_queries: bool, within: Option<usize>) -> String {
    let mut lines = vec![format!("{} ({})", item.title, item.name)];
    match &item.none {
        Some(none) => lines.push(none.clone()),
        None => lines.push(table(item, within)),
    }
    if with_queries {
        lines.push(format!("\n{}", item.sql));
    }
    lines.join("\n")
}

/// A table whose columns of milliseconds are spans.
fn table(item: &InsightAnswer, within: Option<usize>) -> String {
    let names: Vec<&str> = item.columns.iter().map(|column| column.name.as_str()).collect();
    let head = |name: &&str| name.strip_suffix("_ms").unwrap_or(name).replace('_', " ").to_uppercase();
    let heads: Vec<String> = names.iter().map(head).collect();
    let is_text = |name: &&str| matches!(*name, "pipeline" | "step" | "gate" | "route");
    let shrink: Vec<TableColumn> = names
        .iter()
        .map(|name| if is_text(name) { TableColumn::text("") } else { TableColumn::fixed("") })
        .collect();
    let row = |row: &Vec<Value>| -> Vec<Cell> {
        names.iter().zip(row).map(|(name, value)| Cell::from(cell(name, value))).collect()
    };
    let rows: Vec<Vec<Cell>> = item.rows.iter().map(row).collect();
    fitted_rows(&heads, &shrink, &rows, within)
}

fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => match other.as_u64().filter(|_| name.ends_with("_ms")) {
            Some(ms) => span(Duration::from_millis(ms)),
            None => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_head_says_of_no_run_of_one_and_of_many_how_many_have_ended() {
        for (runs, ended, said) in [
            (0, 0, "No run fits."),
            (1, 0, "Of the one run that fits, which has not ended."),
            (1, 1, "Of the one run that fits, which has ended."),
            (2, 0, "Of the newest 2 runs, none of which has ended."),
            (2, 1, "Of the newest 2 runs, one of which has ended."),
            (2, 2, "Of the newest 2 runs, all of which have ended."),
            (40, 39, "Of the newest 40 runs, 39 of which have ended."),
        ] {
            assert_eq!(of_runs(runs, ended), said);
        }
    }

    #[test]
    fn an_insight_is_a_table_or_a_sentence_and_has_its_query_on_demand() {
        let column = |name: &str| json!({ "name": name, "type": null });
        let answer: InsightsAnswer = serde_json::from_value(json!({
            "position": 7, "now": "2026-11-20T09:00:00.000Z", "runs": 4, "ended": 3,
            "items": [
                {
                    "name": "time", "title": "Where time goes", "about": "", "none": null, "sql": "select 1",
                    "columns": [column("pipeline"), column("queue_ms"), column("percent")],
                    "rows": [["ship", 90_000, 62.5], ["build", 0, null]], "truncated": null, "reads": [],
                },
                {
                    "name": "flaky", "title": "Flaky steps", "about": "", "none": "No step was.", "sql": "select 2",
                    "columns": [], "rows": [], "truncated": null, "reads": [],
                },
            ],
        }))
        .unwrap();
        insta::assert_snapshot!(text(&answer, true, None), @r"
        Of the newest 4 runs, 3 of which have ended.

        Where time goes (time)
        PIPELINE  QUEUE  PERCENT
        ship      1m30s  62.5
        build     0.0s   -

        select 1

        Flaky steps (flaky)
        No step was.

        select 2
        ");
    }
}
