//! `stats`: how many runs there are, and figures of them by group.

use std::time::Duration;

use serde_json::Value;

use super::args::StatsArgs;
use super::context::CommandContext;
use super::moments::moment_param;
use super::output::{columns, note};
use super::table::{Cell, TableColumn, fitted};
use crate::client::query;
use crate::fault::Fault;
use crate::text::{span, table};

pub(crate) async fn run(context: &CommandContext, args: StatsArgs) -> Result<u8, Fault> {
    let params = query([
        ("by", (!args.by.is_empty()).then(|| args.by.join(","))),
        ("bucket", args.bucket),
        ("filter", args.filter),
        ("at", moment_param("--at", args.at.as_ref())?),
    ]);
    let stats: Value = context.client.get(&format!("/api/v1/stats{params}")).await?;
    if context.json {
        context.out.json(&stats)?;
        return Ok(0);
    }
    match &stats["grouped"] {
        Value::Null => context.out.line(by_status(&stats)),
        grouped => {
            context.out.line(by_group(grouped, columns()));
            say_bounds(grouped);
        }
    }
    Ok(0)
}

fn by_status(stats: &Value) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    for (status, count) in stats["by_status"].as_object().into_iter().flatten() {
        rows.push([status.clone(), count.to_string()]);
    }
    rows.push(["all".to_owned(), stats["total"].to_string()]);
    rows.push(["open tasks".to_owned(), stats["open_tasks"].to_string()]);
    table(["RUNS", "COUNT"], rows)
}

/// A line for each group, and one for all of them together.
fn by_group(grouped: &Value, within: Option<usize>) -> String {
    let names: Vec<&str> = grouped["by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let heads = [
        TableColumn::text("GROUP"),
        TableColumn::fixed("RUNS"),
        TableColumn::fixed("OK"),
        TableColumn::fixed("FAILED"),
        TableColumn::fixed("CANCELLED"),
        TableColumn::fixed("OPEN"),
        TableColumn::fixed("P50"),
        TableColumn::fixed("P95"),
        TableColumn::fixed("USD"),
    ];
    let groups = grouped["groups"].as_array().into_iter().flatten();
    let mut rows: Vec<_> = groups.map(|group| row(group_name(group, &names), group)).collect();
    rows.push(row("all".to_owned(), &grouped["total"]));
    fitted(heads, &rows, within)
}

/// The values of a group, behind the begin of its stretch of time.
fn group_name(group: &Value, names: &[&str]) -> String {
    let began = group["began"].as_str().map(|at| at.trim_end_matches(".000Z").replace('T', " "));
    let began = began.map(|at| at.strip_suffix(" 00:00:00").map_or_else(|| at.clone(), str::to_owned));
    let value = |name: &&str| match &group["values"][*name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parts: Vec<String> = began.into_iter().chain(names.iter().map(value)).collect();
    parts.join("  ")
}

fn row(name: String, figures: &Value) -> [Cell; 9] {
    let count = figures["count"].as_u64().unwrap_or_default();
    let [ok, failed, cancelled] = ["succeeded", "failed", "cancelled"]
        .map(|status| figures["by_status"][status].as_u64().unwrap_or_default());
    let took = |which: &str| match figures["elapsed"][which].as_u64() {
        Some(ms) => span(Duration::from_millis(ms)),
        None => "-".to_owned(),
    };
    let counts =
        [count, ok, failed, cancelled, count - ok - failed - cancelled].map(|count| count.to_string());
    let [count, ok, failed, cancelled, open] = counts;
    let cost = figures["cost_usd"].as_str().unwrap_or_default().to_owned();
    [name, count, ok, failed, cancelled, open, took("p50_ms"), took("p95_ms"), cost].map(Cell::from)
}

fn say_bounds(grouped: &Value) {
    let undecided = &grouped["filter"]["undecided"];
    if let (Some(number), Some(why)) = (undecided["rows"].as_u64(), undecided["why"].as_str()) {
        note(format!("{number} runs are left out, of which the filter is neither true nor false: {why}"));
    }
    if grouped["complete"] == false {
        note(format!(
            "only the newest {} of the runs that may fit are counted: ask for fewer, as with \
             --filter \"started_at > now - duration('7d')\"",
            grouped["looked_at"]
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_lines_with_their_figures_and_a_last_one_for_all() {
        let elapsed =
            json!({ "runs": 2, "total_ms": 3_000, "p50_ms": 1_000, "p95_ms": 2_000, "max_ms": 2_000 });
        let grouped = json!({
            "by": ["labels.team", "pipeline"],
            "groups": [
                {
                    "values": { "labels.team": "blue", "pipeline": "greet" }, "began": "2026-11-20T00:00:00.000Z",
                    "count": 3, "by_status": { "succeeded": 1, "failed": 1, "waiting": 1 }, "elapsed": elapsed,
                    "cost_usd": "1.250000",
                },
                {
                    "values": { "labels.team": null, "pipeline": "greet" }, "began": "2026-11-20T06:00:00.000Z",
                    "count": 1, "by_status": { "running": 1 }, "elapsed": null, "cost_usd": "0.000000",
                },
            ],
            "total": {
                "count": 4, "by_status": { "succeeded": 1, "failed": 1, "waiting": 1, "running": 1 },
                "elapsed": elapsed, "cost_usd": "1.250000",
            },
        });
        insta::assert_snapshot!(by_group(&grouped, None), @r"
        GROUP                          RUNS  OK  FAILED  CANCELLED  OPEN  P50   P95   USD
        2026-11-20  blue  greet        3     1   1       0          1     1.0s  2.0s  1.250000
        2026-11-20 06:00:00  -  greet  1     0   0       0          1     -     -     0.000000
        all                            4     1   1       0          2     1.0s  2.0s  1.250000
        ");
    }
}
