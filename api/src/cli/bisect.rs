//! `bisect`: the first event of a run, or the first run of a list, of which an expression is true.

use serde_json::Value;

use super::args::BisectArgs;
use super::context::CommandContext;
use super::lines::difference_text::difference_lines;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::node::{FoundEvent, NamedRun, RunBisect, RunsBisect};
use crate::text::{count, cut, instant};

pub(crate) async fn run(context: &CommandContext, args: BisectArgs) -> Result<u8, Fault> {
    let is_of_runs = args.runs.is_some() || args.pipeline.is_some();
    match (is_of_runs, args.expression) {
        (false, Some(expression)) => of_run(context, &args.first, expression).await,
        (true, None) => {
            let params =
                [("expression", Some(args.first)), ("filter", args.runs), ("pipeline", args.pipeline)];
            of_runs(context, &format!("/api/v1/bisect{}", query(params))).await
        }
        (false, None) => Err(Fault::new(Code::Usage, "an expression is missing")
            .hint("write bisect RUN 'steps.build.round > 1', or bisect --runs FILTER EXPR")),
        (true, Some(_)) => Err(Fault::new(Code::Usage, "with --runs no run is named")
            .hint("write bisect --runs \"pipeline == 'release'\" EXPR")),
    }
}

async fn of_run(context: &CommandContext, run: &str, expression: String) -> Result<u8, Fault> {
    let params = query([("expression", Some(expression))]);
    let path = format!("/api/v1/runs/{}/bisect{params}", encode(run));
    if context.json {
        let found: Value = context.client.get(&path).await?;
        context.out.json(&found)?;
        return Ok(0);
    }
    let found: RunBisect = context.client.get(&path).await?;
    context.out.raw(&run_text(&found));
    Ok(0)
}

/// What was found in a run, as a text.
pub(crate) fn run_text(found: &RunBisect) -> String {
    let mut lines = Vec::new();
    match &found.first {
        None => lines.push(format!("run {}: `{}` was never true", found.short_id, found.expression)),
        Some(event) => {
            lines.push(format!("run {}: `{}` is true first after", found.short_id, found.expression));
            lines.push(format!("  {}", event_text(event)));
            if let Some(cause) = &found.cause {
                lines.push(format!("    recorded with {}", event_text(cause)));
            }
            match &found.false_again {
                Some(event) => lines.push(format!("  not any more after {}", event_text(event))),
                None => lines.push("  and has been since".to_owned()),
            }
        }
    }
    if let Some(changed) = &found.changed {
        lines.push("it changed".to_owned());
        changed.changes.iter().for_each(|change| difference_lines("  ", change, &mut lines));
        for step in &changed.steps {
            let indent = format!("  {}.", step.step);
            step.changes.iter().for_each(|change| difference_lines(&indent, change, &mut lines));
        }
    }
    let more = if found.more { ", and the run has more" } else { "" };
    lines.push(format!("{} looked at{more}", count(found.looked_at, "event")));
    if let Some(undecided) = &found.undecided {
        let events = count(undecided.rows, "event");
        lines.push(format!("after {events} it is neither true nor false: {}", undecided.why));
    }
    lines.join("\n") + "\n"
}

fn event_text(found: &FoundEvent) -> String {
    let event = &found.event;
    let step = event.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
    format!("{} {}{step}, {} by {}", event.version, event.kind, instant(event.at), event.actor)
}

async fn of_runs(context: &CommandContext, path: &str) -> Result<u8, Fault> {
    if context.json {
        let found: Value = context.client.get(path).await?;
        context.out.json(&found)?;
        return Ok(0);
    }
    let found: RunsBisect = context.client.get(path).await?;
    context.out.raw(&runs_text(&found));
    Ok(0)
}

/// What was found in a list of runs, as a text.
pub(crate) fn runs_text(found: &RunsBisect) -> String {
    let mut lines = Vec::new();
    match &found.first {
        None => lines.push(format!("`{}` is true of no run", found.expression)),
        Some(run) => lines.push(format!("`{}` is true first of", found.expression) + "\n" + &run_line(run)),
    }
    if let Some(run) = &found.before {
        lines.push(format!("the run before it\n{}", run_line(run)));
    }
    match (&found.first, &found.before, &found.definition) {
        (Some(_), Some(_), Some(change)) => {
            let saved = change.saved_at.map(|at| {
                let by = change.saved_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                format!(", saved {}{by}", instant(at))
            });
            lines.push(format!("the definition changed between them{}", saved.unwrap_or_default()));
            change.changes.iter().for_each(|change| difference_lines("  ", change, &mut lines));
        }
        (Some(_), Some(_), None) => lines.push("both have the same definition".to_owned()),
        _nothing_between => {}
    }
    let more = if found.more { ", and the list has more" } else { "" };
    lines.push(format!("{} looked at{more}", count(found.looked_at, "run")));
    if let Some(undecided) = &found.undecided {
        let runs = count(undecided.rows, "run");
        lines.push(format!("of {runs} it is neither true nor false: {}", undecided.why));
    }
    lines.join("\n") + "\n"
}

fn run_line(run: &NamedRun) -> String {
    let title = run.title.as_ref().map(|title| format!(", {}", cut(title, 80))).unwrap_or_default();
    let saved = run.saved.map(|n| format!("@{n}")).unwrap_or_default();
    let hash = run.definition.to_string();
    let hash = hash.get(..8).unwrap_or(&hash);
    format!(
        "  {} ({}{saved}{title}) {}, started {}, definition {hash}",
        run.short_id,
        run.pipeline,
        run.status,
        instant(run.started_at)
    )
}
