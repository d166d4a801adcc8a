//! `replay`: decides every recorded input of a run again and compares.

use serde_json::Value;

use super::args::ReplayArgs;
use super::context::CommandContext;
use super::replay_many::{self, ReplayRequest};
use crate::fault::{Code, Fault};
use crate::node::{Replay, ReplayBelow, ReplayDecision, ReplayDefinition, ReplayDifference, ReplayedRun};
use crate::text::{count, cut};

/// The longest line that shows an event.
const EVENT_CHARS: usize = 300;

pub(crate) async fn run(context: &CommandContext, args: ReplayArgs) -> Result<u8, Fault> {
    if args.all || args.filter.is_some() {
        return replay_many::run(context, args).await;
    }
    let replay = ReplayRequest::read(context, &args)?.ask(context, &args.run).await?;
    if context.json {
        context.out.json(&replay)?;
        let is_alike =
            replay.differences.is_empty() && replay.below.as_ref().is_none_or(ReplayBelow::is_alike);
        return Ok(if is_alike { 0 } else { Code::Differs.exit() });
    }
    match &replay.definition {
        Some(by) => said_by(context, &replay, by),
        None => said(context, &replay),
    }
}

fn said(context: &CommandContext, replay: &Replay) -> Result<u8, Fault> {
    let Replay { run, inputs, events, verdicts, differences, .. } = replay;
    if differences.is_empty() {
        context.out.line(format!(
            "run {}: {} decided again, {} compared, {} given again, all equal",
            run.short(),
            count(*inputs, "input"),
            count(*events, "event"),
            count(*verdicts, "verdict")
        ));
        return Ok(0);
    }
    for difference in differences {
        context
            .out
            .line(format!("version {} ({}): {}", difference.version, difference.fact, difference.message));
        event(context, "recorded", &difference.recorded);
        event(context, "now", &difference.decided);
    }
    Err(Fault::new(
        Code::Differs,
        format!("run {}: {}", run.short(), count(differences.len() as u64, "difference")),
    )
    .hint("the recorded decisions stand; a newer Everfold decides these otherwise"))
}

/// What another definition decides.
fn said_by(context: &CommandContext, replay: &Replay, by: &ReplayDefinition) -> Result<u8, Fault> {
    let Replay { run, inputs, events, differences, .. } = replay;
    let name = match by.version {
        Some(version) => format!("{}@{version}", by.name),
        None => format!("{}@{}", by.name, by.hash.short()),
    };
    for difference in differences {
        other(context, difference);
    }
    if let Some(decision) = &replay.decision {
        whole(context, decision);
    }
    if let Some(below) = &replay.below {
        below.items.iter().for_each(|started| run_below(context, started));
        if below.more {
            context.out.line("there are more runs below, which were not decided");
        }
    }
    let is_alike_below = replay.below.as_ref().is_none_or(ReplayBelow::is_alike);
    if differences.is_empty() && is_alike_below {
        let pinned = if by.pinned { ", by which they were recorded" } else { "" };
        context.out.line(format!(
            "run {}: {} decided by {name}{pinned}, {} compared, all alike{}",
            run.short(),
            count(*inputs, "input"),
            count(*events, "event"),
            replay.below.as_ref().map(alike_below).unwrap_or_default(),
        ));
        return Ok(0);
    }
    let mut found = Vec::new();
    if by.otherwise > 0 {
        found.push(format!("{} would decide {} otherwise", name, count(by.otherwise, "input")));
    }
    if by.unfit > 0 {
        let it = if found.is_empty() { name.as_str() } else { "it" };
        found.push(format!("{it} does not fit at {}", count(by.unfit, "input")));
    }
    if found.is_empty() {
        found.push(format!("{name} would decide all alike"));
    }
    if let Some(below) = replay.below.as_ref().filter(|_| !is_alike_below) {
        found.push(format!("{} below would not go as they did", count(below.otherwise + below.unfit, "run")));
    }
    let what = format!("run {}: of {}, {}", run.short(), count(*inputs, "input"), found.join(", and "));
    Err(Fault::new(Code::Differs, what)
        .hint("the run stands as it is recorded; `restart` and `fork` go on by another definition"))
}

fn alike_below(below: &ReplayBelow) -> String {
    format!(", and so are {} below", count(below.items.len() as u64, "run"))
}

/// A run below that would not go as it did.
fn run_below(context: &CommandContext, started: &ReplayedRun) {
    let ReplayedRun { short_id, pipeline, step, definition, first, why, .. } = started;
    let place = format!("run {short_id} ({pipeline}, started by {step})");
    let (Some(by), Some(first)) = (definition, first) else {
        if let Some(why) = why {
            context.out.line(format!("{place}: not decided: {why}"));
        }
        return;
    };
    let ReplayDifference { version, fact, message, misfits, .. } = first;
    let word = if misfits.is_empty() { "otherwise" } else { "does not fit" };
    let all = count(by.otherwise + by.unfit, "input");
    context
        .out
        .line(format!("{place}: {all} not alike, first version {version} ({fact}): {word}: {message}"));
}

fn other(context: &CommandContext, difference: &ReplayDifference) {
    let ReplayDifference { version, until, fact, message, .. } = difference;
    if difference.misfits.is_empty() {
        context.out.line(format!("version {version} ({fact}): {message}"));
        event(context, "recorded", &difference.recorded);
        event(context, "decided", &difference.decided);
    } else {
        let until = until.filter(|until| until > version).map(|until| format!(" to {until}"));
        let until = until.unwrap_or_default();
        context.out.line(format!("version {version}{until} ({fact}): does not fit: {message}"));
    }
}

fn whole(context: &CommandContext, decision: &ReplayDecision) {
    let ReplayDecision { version, recorded, ahead, decided } = decision;
    context.out.line(format!("the decision of version {version} in full"));
    let parts = [("recorded", recorded), ("before it", ahead), ("decided", decided)];
    for (name, events) in parts {
        for it in events {
            event(context, name, it);
        }
    }
}

fn event(context: &CommandContext, name: &str, event: &Value) {
    context.out.line(format!("  {:<9} {}", format!("{name}:"), cut(&event.to_string(), EVENT_CHARS)));
}
