//! `diff`: a run at two moments, or two runs.

use serde_json::{Value, json};

use super::args::DiffArgs;
use super::context::CommandContext;
use crate::client::{encode, query};
use crate::compare::{ValueDifference, differences};
use crate::fault::{Code, Fault};
use crate::node::RunDiff;
use crate::text::cut;

/// Fields that are different in any two runs, or of every moment.
const OWN: [&str; 12] = [
    "id",
    "short_id",
    "version",
    "started_at",
    "updated_at",
    "ended_at",
    "driven",
    "origin",
    "parent",
    "cwd",
    "workspace",
    "commit",
];

pub(crate) async fn run(context: &CommandContext, args: DiffArgs) -> Result<u8, Fault> {
    match args.other.split_once("..") {
        Some((from, to)) => moments(context, &args.run, version(from)?, version(to)?).await,
        None => runs(context, &args.run, &args.other).await,
    }
}

fn version(text: &str) -> Result<Option<String>, Fault> {
    if text.is_empty() || text.parse::<u64>().is_ok() {
        return Ok(Some(text.to_owned()).filter(|text| !text.is_empty()));
    }
    Err(Fault::new(Code::Usage, format!("“{text}” is no version"))
        .hint("write A..B, as in 5..12; `everfold events RUN` shows the versions"))
}

async fn moments(
    context: &CommandContext,
    run: &str,
    from: Option<String>,
    to: Option<String>,
) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/diff{}", encode(run), query([("from", from), ("to", to)]));
    let diff: RunDiff = context.client.get(&path).await?;
    if context.json {
        context.out.json(&diff)?;
        return Ok(0);
    }
    let (from, to) = (&diff.from, &diff.to);
    context.out.line(format!("run {}: version {} → {}", diff.short_id, from.version, to.version));
    for difference in &diff.changes {
        print(context, "", difference);
    }
    for step in &diff.steps {
        context.out.line(format!("step {}", step.step));
        for difference in &step.changes {
            print(context, "  ", difference);
        }
    }
    let word = if diff.events_total == 1 { "event" } else { "events" };
    context.out.line(format!("{} {word} between", diff.events_total));
    for event in &diff.events {
        let step = event.step.as_deref().unwrap_or_default();
        context.out.line(format!("  {:>6}  {:<18} {step}", event.version.get(), event.kind).trim_end());
    }
    if diff.next_cursor.is_some() {
        let next = diff.events.last().map_or(from.version, |event| event.version).next();
        context.out.line(format!("  … {} events {} --from {next}", context.program, diff.short_id));
    }
    Ok(0)
}

async fn runs(context: &CommandContext, one: &str, other: &str) -> Result<u8, Fault> {
    let (before, after) = (view(context, one).await?, view(context, other).await?);
    let name = |view: &Value| view["short_id"].as_str().unwrap_or_default().to_owned();
    let (from, to) = (name(&before), name(&after));
    let found = differences(&compared(before), &compared(after));
    if context.json {
        context.out.json(&json!({ "from": from, "to": to, "differences": found }))?;
        return Ok(0);
    }
    if found.is_empty() {
        context.out.line(format!("runs {from} and {to} are the same"));
        return Ok(0);
    }
    context.out.line(format!("run {from} → run {to}"));
    for difference in &found {
        print(context, "", difference);
    }
    Ok(0)
}

async fn view(context: &CommandContext, run: &str) -> Result<Value, Fault> {
    context.client.get(&format!("/api/v1/runs/{}", encode(run))).await
}

/// What two runs have in common to be compared: times and places are each one's own.
fn compared(mut view: Value) -> Value {
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|name, _| !OWN.contains(&name.as_str()));
    }
    for step in view["steps"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = step.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "started_at" | "ended_at" | "child"));
        }
    }
    view
}

fn print(context: &CommandContext, indent: &str, difference: &ValueDifference) {
    let ValueDifference { path, before, after } = difference;
    for (mark, value) in [("-", before), ("+", after)] {
        if let Some(value) = value {
            context.out.line(format!("{indent}{mark} {path}: {}", cut(&value.to_string(), 400)));
        }
    }
}
