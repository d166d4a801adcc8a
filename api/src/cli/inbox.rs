//! `inbox`, `approve`, `reject`, `changes`, `answer`.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

use super::args::{AnswerArgs, DecideArgs, InboxArgs};
use super::context::CommandContext;
use super::list_pages::ListedItems;
use super::moments::moment_param;
use super::output::{columns, note};
use super::table::{Cell, TableColumn, fitted};
use crate::body::inbox::{DecideBody, RemarkBody};
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::text::{does, span};
use crate::view::{AwaitView, RunView, answer_words};

pub(crate) async fn run(context: &CommandContext, args: InboxArgs) -> Result<u8, Fault> {
    let is_filtered = args.filter.is_some() || args.role.is_some();
    let at = moment_param("--at", args.at.as_ref())?;
    let is_past = at.is_some();
    // Ages are those of the moment that is shown.
    let now = at.as_ref().and_then(|at| at.parse().ok()).unwrap_or_else(clock::now);
    let path = format!("/api/v1/inbox{}", query([("role", args.role), ("filter", args.filter), ("at", at)]));
    let listed = ListedItems::read(context, &path, None, usize::MAX).await?;
    if context.json {
        context.out.json(&listed.json())?;
        return Ok(0);
    }
    listed.say_undecided("tasks");
    let tasks = &listed.items;
    if tasks.is_empty() {
        note(match (is_filtered, is_past) {
            (true, false) => "no open task fits",
            (false, false) => "no task is open",
            (true, true) => "no task fits that was open then",
            (false, true) => "no task was open then",
        });
        return Ok(0);
    }
    context.out.line(list(tasks, now, columns()));
    if is_past {
        return Ok(0);
    }
    context.out.line("");
    for task in tasks.iter().take(3) {
        context.out.line(format!("  {} {}", context.program, command(task)));
    }
    Ok(0)
}

/// The open tasks as a table; `within` is the width of the terminal. What names a task is never cut: it is typed.
fn list(tasks: &[Value], now: Timestamp, within: Option<usize>) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = tasks.iter().map(|task| {
        let since = task["since"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let what = task["title"].as_str().or(task["message"].as_str()).unwrap_or_default();
        let roles: Vec<String> = task["terms"]["roles"].as_array().into_iter().flatten().map(text).collect();
        [
            text(&task["id"]),
            text(&task["kind"]),
            text(&task["pipeline"]),
            since.map(|since| span(now.since(since))).unwrap_or_default(),
            match roles.as_slice() {
                [] if task["kind"] == "budget" => "operators".to_owned(),
                [] => "anyone".to_owned(),
                roles => roles.join(", "),
            },
            what.to_owned(),
        ]
        .map(Cell::from)
    });
    let columns = [
        TableColumn::fixed("TASK"),
        TableColumn::fixed("KIND"),
        TableColumn::text("PIPELINE"),
        TableColumn::fixed("AGE"),
        TableColumn::text("WHO"),
        TableColumn::text("WHAT"),
    ];
    fitted(columns, &rows.collect::<Vec<_>>(), within)
}

/// What to type about a task.
fn command(task: &Value) -> String {
    let id = task["id"].as_str().unwrap_or_default();
    match task["kind"].as_str() {
        Some("blocked") => {
            let (run, step) = (task["short_id"].as_str(), task["step"].as_str());
            format!("unblock {} {} --decision retry", run.unwrap_or_default(), step.unwrap_or_default())
        }
        Some("budget") => {
            // What raises it depends on what of it is used up, and on whose limit that is: the run's answer says it.
            format!("show {}", task["short_id"].as_str().unwrap_or_default())
        }
        Some("question") => {
            let terms = &task["terms"];
            let options = terms["options"].as_array().into_iter().flatten();
            let options: Vec<String> = options.filter_map(Value::as_str).map(str::to_owned).collect();
            format!("answer {id}{}", answer_words(&options, &terms["items"], &task["draft"]))
        }
        _approval => format!("approve {id}{}", seen_option(&task["seen"])),
    }
}

/// What names the bytes that a task shows, where it shows any.
fn seen_option(seen: &Value) -> String {
    let parts = seen["parts"].as_array().into_iter().flatten();
    let is_measured = |part: &Value| part["kind"] == "file" || part["kind"] == "commit";
    match seen["digest"].as_str().and_then(|digest| digest.get(..12)) {
        Some(digest) if parts.clone().any(is_measured) => format!(" --seen {digest}"),
        _texts_alone => String::new(),
    }
}

pub(crate) async fn decide(context: &CommandContext, args: DecideArgs, decision: &str) -> Result<u8, Fault> {
    let value = args.value.map(|value| serde_json::from_str(&value).unwrap_or_else(|_| json!(value)));
    let body = DecideBody {
        decision: Some(decision.to_owned()),
        comment: args.message,
        comments: args.remarks.iter().map(|remark| read_remark(remark)).collect::<Result<_, _>>()?,
        value,
        seen: args.seen,
        ..DecideBody::default()
    };
    let path = format!("/api/v1/inbox/{}", encode(&args.task));
    let view: RunView = context.client.post(&path, &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(decided(&view, &args.task, decision));
    context.say_next(&view);
    Ok(0)
}

/// What the decision led to: of a quorum, one vote alone decides nothing.
fn decided(view: &RunView, task: &str, decision: &str) -> String {
    let is_run = !task.contains(':');
    let open = view.awaits.iter().find_map(|awaited| match awaited {
        AwaitView::Approval { task: open, quorum, votes, .. }
            if is_run || task.ends_with(short_task(open)) =>
        {
            let alike = votes.values().filter(|vote| *vote == decision).count();
            Some((alike, *quorum))
        }
        _other => None,
    });
    let does = does(view.status);
    let word = match decision {
        "approve" => "approved",
        "changes" => "sent back",
        _ => "rejected",
    };
    match open {
        Some((votes, quorum)) if quorum > 1 => {
            format!("your vote is counted ({votes} of {quorum}); run {} {does}", view.short_id)
        }
        _ => format!("{word}; run {} {does}", view.short_id),
    }
}

/// A task's id without its run, which may be named in several ways.
fn short_task(task: &str) -> &str {
    task.find(':').map_or(task, |at| &task[at..])
}

/// `PATH[:LINE]=TEXT`.
fn read_remark(remark: &str) -> Result<RemarkBody, Fault> {
    let (place, text) = remark.split_once('=').ok_or_else(|| {
        Fault::new(Code::Usage, format!("--remark {remark}: it is written as PATH=TEXT or PATH:LINE=TEXT"))
    })?;
    let (on, line) = match place.rsplit_once(':').map(|(on, line)| (on, line.parse::<u32>())) {
        Some((on, Ok(line))) => (on, Some(line)),
        _no_line => (place, None),
    };
    Ok(RemarkBody { on: Some(on.to_owned()), line, text: text.to_owned(), ..RemarkBody::default() })
}

pub(crate) async fn answer(context: &CommandContext, args: AnswerArgs) -> Result<u8, Fault> {
    let mut answers = json!({});
    for (name, value) in [("text", args.text), ("choice", args.choice)] {
        if let Some(value) = value {
            answers[name] = json!(value);
        }
    }
    for item in &args.items {
        let (id, text) = item
            .split_once('=')
            .ok_or_else(|| Fault::new(Code::Usage, format!("--item {item}: it is written as ID=TEXT")))?;
        answers["items"][id] = json!(text);
    }
    if let Some(both) = args.resolved.iter().find(|id| args.dismissed.contains(id)) {
        let message = format!("--resolve {both} and --dismiss {both} say different things of one item");
        return Err(Fault::new(Code::Usage, message).hint("give one of them"));
    }
    for (state, ids) in [("resolved", &args.resolved), ("dismissed", &args.dismissed)] {
        for id in ids {
            answers["states"][id] = json!(state);
        }
    }
    let path = format!("/api/v1/inbox/{}", encode(&args.task));
    let body = DecideBody { answers: Some(answers), save: args.save, ..DecideBody::default() };
    let view: RunView = context.client.post(&path, &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    let word = if args.save { "saved" } else { "answered" };
    context.out.line(format!("{word}; run {} {}", view.short_id, does(view.status)));
    context.say_next(&view);
    Ok(0)
}
