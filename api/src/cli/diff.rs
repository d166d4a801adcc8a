//! `diff`: a run at two moments, or two runs.

use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

use super::args::DiffArgs;
use super::context::CommandContext;
use super::moments::{TypedMoment, moment};
use super::run_moment::version_at;
use crate::client::{encode, query};
use crate::compare::{ValueDifference, differences};
use crate::fault::{Code, Fault};
use crate::node::RunDiff;
use crate::text::{cut, instant};

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
        Some((from, to)) => {
            let from = version(context, &args.run, from, DiffSide::From).await?;
            let to = version(context, &args.run, to, DiffSide::To).await?;
            moments(context, &args.run, from, to).await
        }
        None => runs(context, &args.run, &args.other).await,
    }
}

/// A side of `A..B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiffSide {
    From,
    To,
}

/// The version that one side of `A..B` names, by its number or by a time. `None` is what the route takes where a side
/// is left out: the beginning of the run on the left, now on the right.
async fn version(
    context: &CommandContext,
    run: &str,
    text: &str,
    side: DiffSide,
) -> Result<Option<String>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = moment("A..B", text).map_err(|_neither| {
        Fault::new(Code::Usage, format!("“{text}” is no version and no time")).hint(
            "write A..B, as in 5..12, -10m.. or yesterday..today; `everfold events RUN` shows the versions",
        )
    });
    match read? {
        TypedMoment::Number(version) => Ok(Some(version.to_string())),
        TypedMoment::Time(at) => match (version_at(context, run, at).await?, side) {
            (Some(version), _) => Ok(Some(version.to_string())),
            // Before the beginning is the beginning.
            (None, DiffSide::From) => Ok(None),
            (None, DiffSide::To) => {
                let began: Value = view(context, run).await?;
                Err(began_later(text, at, began["started_at"].as_str().unwrap_or_default()))
            }
        },
    }
}

fn began_later(text: &str, at: Timestamp, began: &str) -> Fault {
    let began = began.parse().map_or_else(|_| began.to_owned(), instant);
    let then = instant(at);
    Fault::new(Code::NotYet, format!("..{text} is {then}, and the run began later, at {began}"))
        .hint("name a later time or a version behind the dots, or leave it out for now")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Out;
    use crate::client::{Client, FolderOptions, Leave};
    use everfold_engine::data_folder::Layout;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_time_before_the_run_is_its_beginning_on_the_left_and_refused_on_the_right() {
        let root = tempfile::tempdir().unwrap();
        let place = FolderOptions {
            layout: Layout::new(root.path().join("data")),
            config: None,
            crash_after: None,
            create: true,
            progress: None,
        };
        let client = Client::new(place);
        let definition = "name: t\nsteps: [{ id: ask, approval: { title: Go? } }]";
        let started: Value =
            client.post("/api/v1/runs", &json!({ "definition": definition, "input": {} })).await.unwrap();
        let run = started["id"].as_str().unwrap().to_owned();
        let program = "everfold".to_owned();
        let context = CommandContext { client, out: Out::new(), json: false, program, name: None };
        let side = async |text: &str, side| version(&context, &run, text, side).await;

        assert_eq!(side("yesterday", DiffSide::From).await.unwrap(), None);
        let fault = side("yesterday", DiffSide::To).await.unwrap_err();
        assert_eq!(fault.code, Code::NotYet);
        assert!(fault.message.contains("the run began later, at 20"), "{fault}");
        assert!(side("now", DiffSide::To).await.unwrap().is_some_and(|version| version != "0"));
        assert_eq!(side("", DiffSide::To).await.unwrap(), None);
        context.client.leave(Leave::Nothing).await;
    }
}
