//! `runs`: the list, newest first.

use everfold_engine::clock;
use serde_json::Value;

use super::args::RunsArgs;
use super::context::CommandContext;
use super::output::note;
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::text::{cut, span, table};

/// Runs asked for at once.
const CHUNK: usize = 1_000;

pub(crate) async fn run(context: &CommandContext, args: RunsArgs) -> Result<u8, Fault> {
    let labels: Vec<String> = args.labels.iter().map(|label| label.replacen('=', ":", 1)).collect();
    let filter = query([
        ("status", args.status.clone()),
        ("pipeline", args.pipeline.clone()),
        ("label", (!labels.is_empty()).then(|| labels.join(","))),
        ("q", args.query.clone()),
        ("parent", args.parent.clone()),
        ("step", args.step.clone()),
        ("awaiting", args.awaiting.clone()),
        ("started_after", args.started_after.clone()),
        ("sort", args.sort.clone()),
        ("at", args.at.clone()),
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
    context.out.line(list(&items, clock::now()));
    Ok(0)
}

/// The list as a table.
pub(crate) fn list(items: &[Value], now: everfold_engine::time::Timestamp) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = items.iter().map(|run| {
        let at = |name: &str| run[name].as_str().and_then(|text| text.parse().ok());
        let started: Option<everfold_engine::time::Timestamp> = at("started_at");
        let ended: Option<everfold_engine::time::Timestamp> = at("ended_at");
        let steps: Vec<String> = run["active_steps"].as_array().into_iter().flatten().map(text).collect();
        let what = run["note"]
            .as_str()
            .or(run["set_aside"].as_str())
            .map_or_else(|| steps.join(", "), str::to_owned);
        [
            text(&run["short_id"]),
            match run["set_aside"].is_string() {
                true => "set aside".to_owned(),
                false => text(&run["status"]),
            },
            text(&run["pipeline"]),
            started.map(|started| format!("{} ago", span(now.since(started)))).unwrap_or_default(),
            started.map(|started| span(ended.unwrap_or(now).since(started))).unwrap_or_default(),
            cut(run["title"].as_str().unwrap_or_default(), 40),
            cut(&what, 60),
        ]
    });
    table(["RUN", "STATUS", "PIPELINE", "STARTED", "TOOK", "TITLE", "STEPS"], rows)
}
