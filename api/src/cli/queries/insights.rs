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
    let of = match answer.runs {
        1 => "Of the one run that fits".to_owned(),
        runs => format!("Of the newest {runs} runs"),
    };
    let head = format!("{of}, {} of which ended.", answer.ended);
    let parts = answer.items.iter().map(|item| insight(item, with_queries, within));
    std::iter::once(head).chain(parts).collect::<Vec<_>>().join("\n\n")
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
        Of the newest 4 runs, 3 of which ended.

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
