//! `bisect`: the first event of a run, or the first run of a list, of which an expression is true.

use std::num::NonZeroU64;

use super::args::BisectArgs;
use super::context::CommandContext;
use super::lines::difference_text::difference_lines;
use super::output::note;
use crate::body::filter::UndecidedRows;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::node::{FoundEvent, NamedRun, RunBisect, RunsBisect, UnknownName};
use crate::text::{count, cut, instant, plain};

/// Runs that are looked at without another limit.
const RUNS_MAX: u64 = 100_000;
/// Events of a run that are looked at without another limit.
const EVENTS_MAX: u64 = 1_000_000;

pub(crate) async fn run(context: &CommandContext, args: BisectArgs) -> Result<u8, Fault> {
    let of_many = match (&args.runs, &args.pipeline) {
        (Some(_), _) => Some(("--runs", "everfold bisect --runs \"pipeline == 'release'\" EXPR")),
        (None, Some(_)) => Some(("--pipeline", "everfold bisect --pipeline release EXPR")),
        (None, None) => None,
    };
    let refused = |what: String, form: &str| Err(Fault::new(Code::Usage, what).hint(form));
    match (of_many, &args.first, &args.expression) {
        (None, Some(run), Some(expression)) => of_run(context, run, expression, &args).await,
        (Some(_), Some(expression), None) => of_runs(context, expression, &args).await,
        (Some((_, form)), None, _) => refused("an expression is missing".to_owned(), form),
        (Some((flag, form)), Some(run), Some(_)) => {
            let run = cut(&plain(run), 60);
            refused(format!("{flag} asks each of many runs, so none is named beside it: “{run}”"), form)
        }
        (None, run, _) => {
            let what = if run.is_some() { "an expression is" } else { "a run and an expression are" };
            let form = "everfold bisect RUN 'steps.build.round > 1', or everfold bisect --runs FILTER EXPR";
            refused(format!("{what} missing"), form)
        }
    }
}

/// Asks for one part after the other until the event is found, none is left, or as many were looked at as may be.
async fn of_run(
    context: &CommandContext,
    run: &str,
    expression: &str,
    args: &BisectArgs,
) -> Result<u8, Fault> {
    let mut left = args.limit.map_or(EVENTS_MAX, NonZeroU64::get);
    let is_begun_later = args.from.is_some();
    let mut from = args.from.clone();
    let mut whole: Option<RunBisect> = None;
    loop {
        let params = query([
            ("expression", Some(expression.to_owned())),
            ("from", from.take()),
            ("limit", Some(left.to_string())),
        ]);
        let path = format!("/api/v1/runs/{}/bisect{params}", encode(run));
        let mut part: RunBisect = context.client.get(&path).await?;
        left = left.saturating_sub(part.looked_at);
        if let Some(before) = whole.take() {
            part.looked_at += before.looked_at;
            part.undecided = together(before.undecided, part.undecided);
        }
        from = part.next.filter(|_| part.first.is_none() && left > 0).map(|next| next.to_string());
        if from.is_some() {
            note(format!("{} looked at …", count(part.looked_at, "event")));
            whole = Some(part);
            continue;
        }
        if context.json {
            context.out.json(&part)?;
        } else {
            context.out.raw(&run_text(&part, is_begun_later));
        }
        return Ok(0);
    }
}

fn together(one: Option<UndecidedRows>, other: Option<UndecidedRows>) -> Option<UndecidedRows> {
    match (one, other) {
        (Some(one), Some(other)) => Some(UndecidedRows { rows: one.rows + other.rows, why: one.why }),
        (one, other) => one.or(other),
    }
}

/// The names that no run has: “did you mean …”.
fn unknown_lines(unknown: &[UnknownName], whose: &str, lines: &mut Vec<String>) {
    for UnknownName { kind, name, step, near } in unknown {
        let of = step.as_ref().map(|step| format!(" of {step}")).unwrap_or_default();
        let near = near.as_ref().map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        lines.push(format!("{whose} has the {kind} “{name}”{of}{near}"));
    }
}

/// What was found in a run, as a text. A look that began later (`--from`) says nothing of the events before.
pub(crate) fn run_text(found: &RunBisect, is_begun_later: bool) -> String {
    let mut lines = Vec::new();
    match &found.first {
        None if found.more || is_begun_later => {
            let looked = count(found.looked_at, "event");
            let RunBisect { short_id, expression, .. } = found;
            lines.push(format!(
                "run {short_id}: `{expression}` is not true after any of the {looked} looked at"
            ));
        }
        None => lines.push(format!("run {}: `{}` was never true", found.short_id, found.expression)),
        Some(event) => {
            lines.push(format!("run {}: `{}` is true first after", found.short_id, found.expression));
            lines.push(format!("  {}", event_text(event)));
            if let Some(cause) = &found.cause {
                lines.push(format!("    recorded with {}", event_text(cause)));
            }
            match &found.false_again {
                Some(event) => lines.push(format!("  not any more after {}", event_text(event))),
                None if found.more => lines.push("  and stays so as far as it was looked at".to_owned()),
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
    // What was found is the first: from a later event on another one would be.
    let more = match (found.next, &found.first) {
        (Some(next), None) => format!(", and the run has more: `--from {next}` goes on"),
        (Some(_), Some(_)) => ", and the run has more".to_owned(),
        (None, _) => String::new(),
    };
    lines.push(format!("{} looked at{more}", count(found.looked_at, "event")));
    unknown_lines(&found.unknown, "nothing of the run", &mut lines);
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

/// Asks for one part after the other until the run is found, none is left, or as many were looked at as may be.
async fn of_runs(context: &CommandContext, expression: &str, args: &BisectArgs) -> Result<u8, Fault> {
    let mut left = args.limit.map_or(RUNS_MAX, NonZeroU64::get);
    let is_begun_later = args.from.is_some();
    let mut cursor = args.from.clone();
    let mut whole: Option<RunsBisect> = None;
    loop {
        let params = query([
            ("expression", Some(expression.to_owned())),
            ("filter", args.runs.clone()),
            ("pipeline", args.pipeline.clone()),
            ("cursor", cursor.take()),
            ("limit", Some(left.to_string())),
        ]);
        let mut part: RunsBisect = context.client.get(&format!("/api/v1/bisect{params}")).await?;
        left = left.saturating_sub(part.looked_at);
        if let Some(before) = whole.take() {
            part.looked_at += before.looked_at;
            part.undecided = together(before.undecided, part.undecided);
            // A name is unknown where no part has a run that has it.
            part.unknown.retain(|name| {
                let is_same =
                    |it: &UnknownName| (&it.kind, &it.name, &it.step) == (&name.kind, &name.name, &name.step);
                before.unknown.iter().any(is_same)
            });
        }
        cursor = part.next_cursor.clone().filter(|_| left > 0);
        if cursor.is_some() {
            note(format!("{} looked at …", count(part.looked_at, "run")));
            whole = Some(part);
            continue;
        }
        if context.json {
            context.out.json(&part)?;
        } else {
            context.out.raw(&runs_text(&part, is_begun_later));
        }
        return Ok(0);
    }
}

/// What was found in a list of runs, as a text. A look that began later (`--from`) says nothing of the runs before.
pub(crate) fn runs_text(found: &RunsBisect, is_begun_later: bool) -> String {
    let mut lines = Vec::new();
    match &found.first {
        None if found.more || is_begun_later => {
            let looked = count(found.looked_at, "run");
            lines.push(format!("`{}` is true of none of the {looked} looked at", found.expression));
        }
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
    let more = found.next_cursor.as_ref();
    let more = more.map(|cursor| format!(", and the list has more: `--from {cursor}` goes on"));
    lines.push(format!("{} looked at{}", count(found.looked_at, "run"), more.unwrap_or_default()));
    unknown_lines(&found.unknown, "none of the runs", &mut lines);
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
