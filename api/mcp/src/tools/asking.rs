//! The tool that asks by SQL.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{ToolAnswer, picked};
use crate::call::ToolCall;
use crate::fit::without_empty;
use crate::problem::RestProblem;
use crate::tool::{RunTool, ToolEffect, ToolRole};

/// Rows of an answer that nothing more was asked of.
const ROWS: u32 = 50;

/// The tool of queries.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![RunTool::new(
        (
            "ask",
            "Ask by SQL",
            "Answers one read-only SELECT (SQLite) over tables of runs, steps, attempts, gates, events and more, now or as of any past moment. Without `sql`: the tables. For counts, joins and whatever no other tool answers.",
        ),
        ToolRole::Viewer,
        ToolEffect::Reads,
        ask,
    )]
}

/// The arguments of `ask`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskInput {
    /// One SELECT: `select pipeline, count(*) from runs where status = 'failed' group by pipeline`. Without it the tables are listed.
    sql: Option<String>,
    /// Only this table, with its columns, where the tables are listed.
    table: Option<String>,
    /// What was there then: a time (RFC 3339) or a position of the log.
    at: Option<String>,
    /// Rows at most; 50 unless given.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// true: more of it, with how the tables were read.
    full: Option<bool>,
}

async fn ask(call: ToolCall, input: AskInput) -> Result<ToolAnswer, RestProblem> {
    let full = input.full.unwrap_or(false);
    let Some(sql) = &input.sql else {
        let tables = call.rest.get("/query").await?;
        return Ok(ToolAnswer::sized(listed(&tables, input.table.as_deref(), full), full));
    };
    let limit = input.limit.unwrap_or(ROWS);
    let body = without_empty(json!({ "sql": sql, "at": input.at, "limit": limit }));
    let answer = call.rest.post("/query", &body, None).await?;
    let mut shown = if full { answer.clone() } else { picked(&answer, &["rows", "truncated", "position"]) };
    let names = answer["columns"].as_array().into_iter().flatten().map(|column| column["name"].clone());
    shown["columns"] = names.collect();
    Ok(ToolAnswer::sized(shown, full))
}

/// The names of the tables with what they hold, or one with its columns.
fn listed(tables: &Value, only: Option<&str>, full: bool) -> Value {
    let all = tables["tables"].as_array().into_iter().flatten();
    let shown = all.filter(|table| only.is_none_or(|only| table["name"] == only)).map(|table| {
        match full || only.is_some() {
            true => table.clone(),
            false => picked(table, &["name", "about"]),
        }
    });
    json!({ "tables": shown.collect::<Vec<_>>() })
}
