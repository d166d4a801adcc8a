//! `hook deliver`, `hooks`: deliveries of webhooks by hand, and what came of all.

use std::collections::BTreeMap;

use everfold_engine::clock;
use serde_json::json;

use super::args::{DeliveryRef, HookArgs, HookVerb, HooksArgs, HooksVerb};
use super::context::{CommandContext, items};
use super::files::{self, FileKind};
use super::lines::outcome_text::outcome_line;
use super::list_pages::ListedItems;
use super::output::note;
use crate::body::hook::DeliverBody;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::node::{DeliveryView, OutcomeView, OutcomeWord};
use crate::text::{count, cut, instant, quoted, span, table};

pub(crate) async fn hook(context: &CommandContext, args: HookArgs) -> Result<u8, Fault> {
    let HookVerb::Deliver { source, file, headers, id } = args.verb;
    let headers: BTreeMap<String, String> =
        headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    let body = files::text(&file, &FileKind::DELIVERY)?;
    let path = format!("/api/v1/hooks/{}/deliveries", encode(&source));
    let asked = DeliverBody { body, headers, id };
    let view: DeliveryView = context.client.post(&path, &asked).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(match view.repeated {
        true => format!("{} came before, {}; nothing was recorded", view.id, instant(view.received_at)),
        false => format!("{} is recorded", view.id),
    });
    print_delivery(context, &view, in_brief);
    Ok(0)
}

fn header(text: &str) -> Result<(String, String), Fault> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Fault::new(Code::Usage, format!("--header takes KEY:VALUE, not “{text}”"))),
    }
}

pub(crate) async fn list(context: &CommandContext, args: HooksArgs) -> Result<u8, Fault> {
    let route = match &args.source {
        Some(source) => format!("/api/v1/hooks/{}/deliveries", encode(source)),
        None => "/api/v1/hooks".to_owned(),
    };
    let is_filtered = args.filter.is_some();
    let path = format!("{route}{}", query([("filter", args.filter)]));
    let listed = ListedItems::read(context, &path, None, args.limit).await?;
    if context.json {
        context.out.json(&listed.json())?;
        return Ok(0);
    }
    listed.say_undecided("deliveries");
    let items: Vec<DeliveryView> = items(&listed.json())?;
    if items.is_empty() && is_filtered {
        note("no delivery fits");
        return Ok(0);
    }
    if items.is_empty() {
        note("nothing was delivered");
        note(format!("  {} hook deliver SOURCE FILE", context.program));
        return Ok(0);
    }
    let now = clock::now();
    let rows = items.iter().map(|view| {
        [
            view.source.clone(),
            cut(&view.id, 36),
            format!("{} ago", span(now.since(view.received_at))),
            view.name.clone().unwrap_or_default(),
            view.sender.clone().unwrap_or_default(),
            cut(&in_short(view), 80),
        ]
    });
    context.out.line(table(["SOURCE", "ID", "CAME", "EVENT", "BY", "OUTCOME"], rows));
    Ok(0)
}

pub(crate) async fn one(context: &CommandContext, verb: HooksVerb) -> Result<u8, Fault> {
    let view: DeliveryView = match &verb {
        HooksVerb::Show(DeliveryRef { id }) => {
            context.client.get(&format!("/api/v1/hooks/-/deliveries/{}", encode(id))).await?
        }
        HooksVerb::Redeliver(DeliveryRef { id }) => {
            let path = format!("/api/v1/hooks/-/deliveries/{}/redeliver", encode(id));
            context.client.post(&path, &json!({})).await?
        }
    };
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    let show = format!("{} hooks show {}", context.program, quoted(&view.id));
    // Each trigger stands in the answer that is asked for it.
    let lines = |outcomes: &[OutcomeView]| -> Vec<String> {
        match &verb {
            HooksVerb::Show(_) => outcomes.iter().map(outcome_line).collect(),
            HooksVerb::Redeliver(_) => in_brief(&show, outcomes),
        }
    };
    let by = view.sender.as_ref().map(|sender| format!(" by {sender}")).unwrap_or_default();
    let name = view.name.as_ref().map(|name| format!(" ({name}){by}")).unwrap_or(by);
    context.out.line(format!("{} of {}{name}, {}", view.id, view.source, instant(view.received_at)));
    for handling in view.handled.iter().rev().skip(1).rev() {
        let by = handling.by.as_ref().map(|by| format!(" for {by}")).unwrap_or_default();
        context.out.line(format!("  handled {}{by}", instant(handling.at)));
        for line in lines(&handling.outcomes) {
            context.out.line(format!("    {line}"));
        }
    }
    if let Some(event) = &view.event {
        let text = serde_json::to_string_pretty(event)
            .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        context.out.line(text);
    }
    if let Some(by) = view.handled.last().and_then(|last| last.by.as_ref()) {
        context.out.line(format!("  by the hand of {by}"));
    }
    print_delivery(context, &view, |_, last| lines(last));
    Ok(0)
}

/// Says what the delivery led to the last time, with the lines of its outcomes, and what to type next.
fn print_delivery(
    context: &CommandContext,
    view: &DeliveryView,
    lines: impl Fn(&str, &[OutcomeView]) -> Vec<String>,
) {
    let Some(last) = view.handled.last() else {
        context.out.line("  it is not handled yet: a process that goes on with all runs takes it up");
        context.out.line(format!("  {} serve", context.program));
        return;
    };
    if last.outcomes.is_empty() {
        context.out.line(format!("  no saved pipeline has a trigger with hook: {}", view.source));
        context.out.line(format!("  {} pipeline save FILE", context.program));
    }
    let show = format!("{} hooks show {}", context.program, quoted(&view.id));
    for line in lines(&show, &last.outcomes) {
        context.out.line(format!("  {line}"));
    }
    if let Some(run) = last.outcomes.iter().flat_map(|outcome| &outcome.runs).next() {
        context.out.line(format!("  {} show {}", context.program, run.short()));
    }
}

/// A line for each trigger that did something, and one for all that ignored the delivery: a pipeline may have dozens of
/// triggers of one source. `show` is the command that tells of each.
fn in_brief(show: &str, outcomes: &[OutcomeView]) -> Vec<String> {
    let (ignored, others): (Vec<_>, Vec<_>) =
        outcomes.iter().partition(|outcome| outcome.outcome == OutcomeWord::Ignored);
    let mut lines: Vec<String> = others.into_iter().map(outcome_line).collect();
    match ignored.as_slice() {
        [] => {}
        [alone] => lines.push(outcome_line(alone)),
        [first, rest @ ..] => {
            let is_one = rest.iter().all(|outcome| outcome.reason == first.reason);
            let why = match first.reason.as_ref().filter(|_| is_one) {
                Some(reason) => format!(": {reason}"),
                None => format!("; {show} says why"),
            };
            lines.push(format!("ignored by {}{why}", count(ignored.len() as u64, "trigger")));
        }
    }
    lines
}

/// What a delivery led to, in a few words, with the reason where it reached no run; what was ignored is left out beside
/// other things.
fn in_short(view: &DeliveryView) -> String {
    let Some(last) = view.handled.last() else { return "not handled yet".to_owned() };
    let counts = |outcome: &&OutcomeView| outcome.outcome != OutcomeWord::Ignored;
    let shown: Vec<String> = last.outcomes.iter().filter(counts).map(shortly).collect();
    if !shown.is_empty() {
        return shown.join(", ");
    }
    let reasoned = last.outcomes.iter().find(|outcome| outcome.reason.is_some());
    reasoned.or(last.outcomes.first()).map_or_else(|| "no trigger".to_owned(), shortly)
}

fn shortly(outcome: &OutcomeView) -> String {
    let runs: Vec<String> = outcome.runs.iter().map(|run| run.short()).collect();
    let code = outcome.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    let reason = outcome.reason.as_ref().filter(|_| runs.is_empty());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{}{code} {}", outcome.outcome, runs.join(" ")).trim_end().to_owned() + &reason
}
