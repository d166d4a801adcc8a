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
        ("filter", args.filter.clone()),
        ("started_after", time_param("--since", args.started_after.as_ref())?),
        ("sort", args.sort.clone()),
        ("at", at.clone()),
        ("limit", Some(args.limit.unwrap_or(CHUNK).min(CHUNK).to_string())),
    ]);
    let mut items: Vec<Value> = Vec::new();
    let mut asked = AskedFilter::default();
    let mut cursor: Option<String> = args.cursor.clone();
    let wanted = args.limit.unwrap_or(usize::MAX);
    loop {
        let next = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
        let page: Value = context.client.get(&format!("/api/v1/runs{filter}{next}")).await?;
        if let Value::Array(more) = &page["items"] {
            items.extend(more.iter().cloned());
        }
        asked.add(&page["filter"]);
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= wanted {
            break;
        }
    }
    items.truncate(wanted);
    if context.json {
        let mut answer = serde_json::json!({ "items": items, "next_cursor": cursor });
        if args.filter.is_some() {
            answer["filter"] = asked.0;
        }
        context.out.json(&answer)?;
        return Ok(0);
    }
    if let Some((rows, why)) = asked.undecided() {
        note(format!("{rows} runs are left out, of which the filter is neither true nor false: {why}"));
    }
    if items.is_empty() {
        let is_filtered = args.status.is_some()
            || args.pipeline.is_some()
            || args.number.is_some()
            || args.query.is_some()
            || args.step.is_some()
            || args.awaiting.is_some()
            || args.filter.is_some()
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

/// What the parts of an answer say of its filter, together.
#[derive(Default)]
struct AskedFilter(Value);

impl AskedFilter {
    /// Adds what a part says: rows are counted together, and the last part says whether there may be more.
    fn add(&mut self, part: &Value) {
        let before = std::mem::replace(&mut self.0, part.clone());
        if before.is_null() || part.is_null() {
            return;
        }
        let sum = |path: &str| {
            let count = |of: &Value| of.pointer(path).and_then(Value::as_u64).unwrap_or(0);
            count(&before) + count(part)
        };
        self.0["looked_at"] = sum("/looked_at").into();
        if let Some(why) = before.pointer("/undecided/why").or(part.pointer("/undecided/why")) {
            self.0["undecided"] = serde_json::json!({ "rows": sum("/undecided/rows"), "why": why });
        }
    }

    fn undecided(&self) -> Option<(u64, &str)> {
        let undecided = &self.0["undecided"];
        Some((undecided["rows"].as_u64()?, undecided["why"].as_str()?))
    }
}
