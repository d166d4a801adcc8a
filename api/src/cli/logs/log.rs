//! `logs`: what the work of a step wrote; of an agent made readable.

use std::cmp::Reverse;

use everfold_engine::state::StepStatus;
use serde_json::Value;

use super::screen::LogScreen;
use super::transcript;
use crate::cli::args::LogsArgs;
use crate::cli::context::CommandContext;
use crate::cli::output::{is_terminal, note};
use crate::client::{Follow, FollowMessage, Followed, LogLines, encode, query};
use crate::fault::{Code, Fault};
use crate::view::{ItemsView, RunView, StepView};

pub(crate) async fn run(context: &CommandContext, args: LogsArgs) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let view: RunView = context.client.get(&path).await?;
    let (step, round, attempt) = match found(context, &view, &args).await {
        Err(fault) if args.follow && may_begin(&view, &args) => begun(context, &view, &args, fault).await?,
        found_or_never => found_or_never?,
    };
    let is_agent =
        view.step(step.split('.').next().unwrap_or(&step)).is_some_and(|step| step.kind == "agent");
    let is_readable = is_agent && !args.raw && !context.json;
    let format = if context.json || is_readable { "json" } else { "text" };
    let params = query([
        ("follow", args.follow.then(|| "true".to_owned())),
        ("tail", args.tail.map(|lines| lines.to_string())),
        ("format", Some(format.to_owned())),
        ("verify", Some("true".to_owned())),
    ]);
    let path = format!("{}{params}", log_path(&view, &step, round, attempt));
    let damage = match is_readable {
        true => transcript::print(context, path).await?,
        false if is_terminal() && !args.raw => print_on_screen(context, path).await?,
        false => print(context, path).await?,
    };
    let Some(what) = damage else { return Ok(0) };
    let log = format!("run {}, step {step}, round {round}, attempt {attempt}", view.short_id);
    Err(Fault::new(Code::Faults, format!("the log of {log} is damaged: {what}"))
        .hint("it was printed as it is; a log cannot be made again: bring it back from a copy of the folder"))
}

fn log_path(view: &RunView, step: &str, round: u32, attempt: u32) -> String {
    format!("/api/v1/runs/{}/attempts/{}/{round}/{attempt}/log", view.id, encode(step))
}

/// Prints a log; gives in which way it is damaged. Where the owner or the server ends meanwhile, the next one is asked for the
/// rest.
async fn print(context: &CommandContext, path: String) -> Result<Option<String>, Fault> {
    let mut lines = LogLines::new(&context.client, path);
    while let Some(line) = lines.next().await? {
        match &line {
            Value::String(text) => context.out.bytes(text.as_bytes()),
            record => context.out.json_line(record)?,
        }
        if context.out.is_closed() {
            break;
        }
    }
    Ok(lines.damage())
}

/// Prints a log on a terminal, which is to do nothing else than to show it.
async fn print_on_screen(context: &CommandContext, path: String) -> Result<Option<String>, Fault> {
    let mut lines = LogLines::new(&context.client, path);
    let mut screen = LogScreen::default();
    let mut is_silent = true;
    while let Some(line) = lines.next().await? {
        is_silent = false;
        match &line {
            Value::String(text) => context.out.raw(&screen.take(text)),
            record => context.out.json_line(record)?,
        }
        if context.out.is_closed() {
            break;
        }
    }
    context.out.raw(screen.end());
    if is_silent {
        note("it printed nothing");
    }
    Ok(lines.damage())
}

/// The attempt that the arguments name.
async fn found(
    context: &CommandContext,
    view: &RunView,
    args: &LogsArgs,
) -> Result<(String, u32, u32), Fault> {
    let step = match &args.step {
        Some(step) => step.clone(),
        None => return usual(context, view, args).await,
    };
    let (round, attempt) = attempt_of(context, view, &step, args).await?;
    Ok((step, round, attempt))
}

/// Whether the attempt may still begin and write a log.
fn may_begin(view: &RunView, args: &LogsArgs) -> bool {
    let may = match &args.step {
        None => view.steps.iter().any(may_be_logged),
        Some(path) => {
            let (id, item) =
                path.split_once('.').map_or((path.as_str(), None), |(id, item)| (id, Some(item)));
            let is_whole = |step: &StepView| step.items.is_some() && item.is_none();
            view.step(id).is_some_and(|step| may_be_logged(step) && !is_whole(step))
        }
    };
    may && !view.status.is_ended()
}

/// Waits until the attempt has begun, or cannot begin any more.
async fn begun(
    context: &CommandContext,
    view: &RunView,
    args: &LogsArgs,
    mut fault: Fault,
) -> Result<(String, u32, u32), Fault> {
    note(format!("{}; waiting for it", fault.message));
    let follow = Follow { run: view.id.to_string(), from: view.version.get() + 1, live: true, drive: false };
    let mut followed = Followed::new(&context.client, follow);
    loop {
        let view = match followed.next().await? {
            FollowMessage::Event(_) => continue,
            FollowMessage::State(view) => *view,
            FollowMessage::End => return Err(fault),
        };
        match found(context, &view, args).await {
            Err(later) if may_begin(&view, args) => fault = later,
            found_or_never => return found_or_never,
        }
    }
}

/// The attempt of the step where none is named: the one that runs, else the one that failed, else the last, of those that
/// have a log. A function has one where it, or its worker, said something.
async fn usual(
    context: &CommandContext,
    view: &RunView,
    args: &LogsArgs,
) -> Result<(String, u32, u32), Fault> {
    let mut steps: Vec<&StepView> = view.steps.iter().filter(|step| is_logged(step)).collect();
    let rank = |step: &StepView| match step.status {
        StepStatus::Running => 0,
        StepStatus::Failed | StepStatus::Blocked => 1,
        _other => 2,
    };
    // The first that failed, and the last of the others.
    steps.sort_by_key(|step| (rank(step), (rank(step) == 2).then_some(Reverse(step.started_at))));
    for step in steps {
        let (round, attempt) = attempt_of(context, view, &step.id, args).await?;
        let path = format!("{}?tail=1", log_path(view, &step.id, round, attempt));
        if is_process(step) || context.client.open(&path, &[]).await.is_ok() {
            return Ok((step.id.clone(), round, attempt));
        }
    }
    Err(Fault::new(Code::NoLog, format!("no step of run {} has a log yet", view.short_id)))
}

fn is_process(step: &StepView) -> bool {
    step.kind == "command" || step.kind == "agent"
}

fn is_logged(step: &StepView) -> bool {
    may_be_logged(step) && step.round > 0 && step.items.is_none()
}

/// Whether its work may leave a log: what a process prints, and what a function or its worker says.
fn may_be_logged(step: &StepView) -> bool {
    is_process(step) || step.kind == "function"
}

/// Round and attempt: as given, else the newest that was made.
async fn attempt_of(
    context: &CommandContext,
    view: &RunView,
    step: &str,
    args: &LogsArgs,
) -> Result<(u32, u32), Fault> {
    let id = step.split('.').next().unwrap_or(step);
    if view.step(id).is_none() {
        let near = everfold_engine::definition::similar(id, view.steps.iter().map(|step| step.id.as_str()));
        let steps: Vec<&str> = view.steps.iter().map(|step| step.id.as_str()).collect();
        return Err(Fault::new(Code::NoStep, format!("run {} has no step “{id}”", view.short_id))
            .hint(format!("it has: {}", steps.join(", ")))
            .hinted(near.map(|near| format!("did you mean “{near}”?"))));
    }
    if let (Some(round), Some(attempt)) = (args.round, args.attempt) {
        return Ok((round, attempt));
    }
    let fits = |(round, attempt): &(u32, u32)| {
        args.round.is_none_or(|wanted| wanted == *round)
            && args.attempt.is_none_or(|wanted| wanted == *attempt)
    };
    let page: Value = context.client.get(&format!("/api/v1/runs/{}/timeline", view.id)).await?;
    let number =
        |row: &Value, name: &str| row[name].as_u64().and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
    let made = page["items"].as_array().into_iter().flatten().filter(|row| row["step"] == step);
    let fitting = made.map(|row| (number(row, "round"), number(row, "attempt"))).filter(fits);
    // What this run kept of another one was made there.
    let kept = view.step(step).filter(|step| view.origin.is_some() && is_logged(step));
    let kept = kept.map(|step| (step.round, step.attempt)).or_else(|| kept_item(view, step)).filter(fits);
    fitting.max().or(kept).ok_or_else(|| none_fits(view, step, id))
}

/// The attempt of an item that a retry or a copy may have kept: it has none of its own here.
fn kept_item(view: &RunView, path: &str) -> Option<(u32, u32)> {
    let (id, item) = path.split_once('.')?;
    let step = view.step(id).filter(|step| step.round > 1 || view.origin.is_some())?;
    let is_in_list = |items: &ItemsView| item.parse::<usize>().is_ok_and(|item| item < items.total);
    step.items.as_ref().filter(|items| is_in_list(items)).map(|_| (step.round, 1))
}

fn none_fits(view: &RunView, step: &str, id: &str) -> Fault {
    let show = format!("`everfold show {}` shows rounds and attempts", view.short_id);
    let (what, hint) = match view.step(id) {
        Some(StepView { items: Some(items), .. }) => {
            let last = items.total.saturating_sub(1);
            let what =
                if step == id { "is made of items".to_owned() } else { "has no such attempt".to_owned() };
            (what, format!("name an item: {id}.0 to {id}.{last}"))
        }
        // It will not begin, whether the run goes on or not.
        Some(of) if of.round == 0 && of.status == StepStatus::Skipped => (
            "did not run: it was passed over".to_owned(),
            format!("`everfold why {} {id}` says by which values", view.short_id),
        ),
        Some(of) if of.round == 0 && view.status.is_ended() => ("never began".to_owned(), show),
        Some(of) if of.round == 0 => {
            ("has not begun".to_owned(), format!("`everfold watch {}` follows the run", view.short_id))
        }
        Some(of) if !is_logged(of) => ("starts no process: it leaves no log".to_owned(), show),
        _ => ("has no such attempt".to_owned(), show),
    };
    Fault::new(Code::NoLog, format!("“{step}” {what}")).hint(hint)
}
