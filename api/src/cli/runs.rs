//! `runs`: the list, newest first unless asked otherwise.

use everfold_engine::clock;

use super::args::RunsArgs;
use super::context::CommandContext;
use super::list_pages::ListedItems;
use super::moments::{moment_param, time_param};
use super::output::{columns, note};
use super::run_list::{cards, list};
use crate::client::query;
use crate::fault::Fault;

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
    ]);
    let wanted = args.limit.unwrap_or(usize::MAX);
    let listed =
        ListedItems::read(context, &format!("/api/v1/runs{filter}"), args.cursor.clone(), wanted).await?;
    if context.json {
        context.out.json(&listed.json())?;
        return Ok(0);
    }
    listed.say_undecided("runs");
    listed.say_sorted("runs");
    let items = &listed.items;
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
    let is_by_cost = args.sort.is_some_and(|sort| sort.trim_start_matches('-') == "cost");
    let table = if is_by_cost { cards } else { list };
    context.out.line(table(items, now, columns()));
    Ok(0)
}
