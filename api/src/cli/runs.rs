//! `runs`: the list, newest first.

use everfold_engine::clock;
use serde_json::Value;

use super::args::RunsArgs;
use super::context::CommandContext;
use super::moments::{moment_param, time_param};
use super::output::{columns, note};
use super::run_list::list;
use crate::client::{encode, query};
use crate::fault::Fault;

/// Runs asked for at once.
const CHUNK: usize = 1_000;

pub(crate) async fn run(context: &CommandContext, args: RunsArgs) -> Result<u8, Fault> {
    let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:").replace(',', r"\,");
    let label = |label: &String| match label.split_once('=') {
        Some((key, value)) => format!("{}:{}", escaped(key), escaped(value)),
        None => escaped(label),
    };
    let labels: Vec<String> = args.labels.iter().map(label).collect();
    let at = moment_param("--at", args.at.as_ref())?;
    let filter = query([
        ("status", args.status.clone()),
        ("pipeline", args.pipeline.clone()),
        ("number", args.number.map(|number| number.to_string())),
        ("label", (!labels.is_empty()).then(|| labels.join(","))),
        ("q", args.query.clone()),
        ("parent", args.parent.clone()),
        ("top", args.top.clone()),
        ("step", args.step.clone()),
        ("awaiting", args.awaiting.clone()),
        ("started_after", time_param("--since", args.started_after.as_ref())?),
        ("sort", args.sort.clone()),
        ("at", at.clone()),
        ("limit", Some(args.limit.unwrap_or(CHUNK).min(CHUNK).to_string())),
    ]);
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = args.cursor.clone();
    let wanted = args.limit.unwrap_or(usize::MAX);
    loop {
        let next = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
        let page: Value = context.client.get(&format!("/api/v1/runs{filter}{next}")).await?;
        if let Value::Array(more) = &page["items"] {
            items.extend(more.iter().cloned());
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= wanted {
            break;
        }
    }
    items.truncate(wanted);
    if context.json {
        let answer = serde_json::json!({ "items": items, "next_cursor": cursor });
        context.out.json(&answer)?;
        return Ok(0);
    }
    if items.is_empty() {
        let is_filtered = args.status.is_some()
            || args.pipeline.is_some()
            || args.number.is_some()
            || args.query.is_some()
            || args.step.is_some()
            || args.awaiting.is_some()
            || args.started_after.is_some()
            || args.at.is_some()
            || !args.labels.is_empty();
        let (what, next) = if is_filtered { ("no run fits", "runs") } else { ("no runs", "run PIPELINE") };
        note(what);
        note(format!("  {} {next}", context.program));
        return Ok(0);
    }
    // Ages are those of the moment that is shown.
    let now = at.and_then(|at| at.parse().ok()).unwrap_or_else(clock::now);
    context.out.line(list(&items, now, columns()));
    Ok(0)
}
