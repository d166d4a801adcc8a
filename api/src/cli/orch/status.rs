//! `orch status`: where the tasks stand.

use everfold_engine::clock;
use serde_json::Value;

use crate::cli::args::OrchStatusArgs;
use crate::cli::context::CommandContext;
use crate::cli::output::{columns as terminal_columns, note};
use crate::cli::run_list::list;
use crate::client::query;
use crate::fault::Fault;

/// The label that names a run's work item.
const ITEM: &str = "item";

pub(crate) async fn run(context: &CommandContext, args: OrchStatusArgs) -> Result<u8, Fault> {
    let label = match args.item {
        Some(item) => format!("{ITEM}:{item}"),
        None => ITEM.to_owned(),
    };
    let page: Value = context.client.get(&format!("/api/v1/runs{}", query([("label", Some(label))]))).await?;
    if context.json {
        context.out.json(&page)?;
        return Ok(0);
    }
    let runs = page["items"].as_array().cloned().unwrap_or_default();
    if runs.is_empty() {
        note("no tasks");
        return Ok(0);
    }
    context.out.line(list(&runs, clock::now(), terminal_columns()));
    Ok(0)
}
