//! `board`: runs in columns, now or at any moment.

use everfold_engine::clock;
use everfold_engine::state::RunStatus;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::args::BoardArgs;
use super::context::CommandContext;
use super::moments::moment_param;
use super::output::{columns as terminal_columns, note};
use super::run_list::cards;
use crate::client::query;
use crate::fault::Fault;
use crate::text::run_style;

pub(crate) async fn run(context: &CommandContext, args: BoardArgs) -> Result<u8, Fault> {
    let at = moment_param("--at", args.at.as_ref())?;
    let params = query([
        ("at", at.clone()),
        ("group_by", Some(args.group_by)),
        ("limit", Some(args.limit.to_string())),
    ]);
    let board: Value = context.client.get(&format!("/api/v1/board{params}")).await?;
    if context.json {
        context.out.json(&board)?;
        return Ok(0);
    }
    let columns = board["columns"].as_array().cloned().unwrap_or_default();
    let filled: Vec<&Value> = columns.iter().filter(|column| column["count"] != 0).collect();
    if filled.is_empty() {
        note("no runs");
        return Ok(0);
    }
    // Ages are those of the moment that is shown.
    let now = at.and_then(|at| at.parse().ok()).unwrap_or_else(clock::now);
    for column in filled {
        let name = column["name"].as_str().unwrap_or_default();
        let count = column["count"].as_u64().unwrap_or_default();
        let runs = column["cards"].as_array().cloned().unwrap_or_default();
        let status: Option<RunStatus> = serde_json::from_value(column["name"].clone()).ok();
        let style = status.map(run_style).unwrap_or_default().bold();
        context.out.line(format!("{} ({count})", name.style(style)));
        if !runs.is_empty() {
            context.out.line(cards(&runs, now, terminal_columns()));
        }
        let rest = count - runs.len() as u64;
        if rest > 0 {
            context.out.line(format!("… and {rest} more"));
        }
        context.out.line("");
    }
    Ok(0)
}
