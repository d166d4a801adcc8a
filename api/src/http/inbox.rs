//! What people are asked, and what they answer.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::definition::Vote;
use everfold_engine::event::{AnswerSaved, Comment, QuestionAnswered, VoteCast};
use everfold_engine::id::{AttemptId, RunId};
use everfold_engine::input::InputKind;
use everfold_engine::json::{Hash, JsonText, Payload};
use everfold_projections::{Task, TaskKind, TaskName};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{read, written};
use super::app::App;
use super::extract::{JsonBody, Params, Path};
use super::filter::FilteredPage;
use super::list_fields::TASK_FIELDS;
use super::list_scan::{ListScan, expression, with_expression};
use super::parameters::{limit, min_position, moment};
use super::relative_names::once_of_task;
use crate::access::Caller;
use crate::body::inbox::{DecideBody, RemarkBody};
use crate::fault::{Code, Fault};
use crate::node::CursorOf;
use crate::schema;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TaskListParams {
    role: Option<String>,
    run: Option<String>,
    /// An expression over the fields of a row: `kind == 'approval' && since < now - duration('1d')`.
    filter: Option<String>,
    /// A time or a position: what was open then.
    at: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

/// `GET /inbox`: what is open, oldest first.
#[utoipa::path(
    get,
    path = "/inbox",
    tag = "inbox",
    params(TaskListParams),
    responses((status = 200, description = "The open tasks, oldest first.", body = FilteredPage<schema::TaskSchema>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<TaskListParams>,
) -> Result<Response, Fault> {
    let run = match &params.run {
        Some(run) => Some(app.resolve(run).await?),
        None => None,
    };
    let of_run = run.map(|run| run.to_string());
    let filters = [params.role.as_deref(), of_run.as_deref()];
    let paged = CursorOf::Inbox.with(&with_expression(&filters, params.filter.as_deref()));
    let cursor = app.in_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let at = moment(&app, params.at.as_deref()).await?;
    let min = min_position(&app, params.min_position)?;
    let role = params.role;
    let times = (params.at.as_deref(), at);
    let filter = expression(&app, params.filter.as_deref(), &TASK_FIELDS, times).await?;
    let ask = app.views().inbox(min, move |inbox| {
        let (mut scan, mut cursor) = (ListScan::begin(filter.as_ref(), limit), cursor);
        loop {
            let page = inbox.list(role.as_deref(), run, cursor, scan.wanted(), at)?;
            match scan.add(page.items) {
                Ok(true) => cursor = page.next,
                Ok(false) => return Ok(Ok((scan.found(true), cursor))),
                Err(refused) => return Ok(Err(refused)),
            }
            if cursor.is_none() || !scan.goes_on() {
                return Ok(Ok((scan.found(cursor.is_some()), cursor)));
            }
        }
    });
    let answer = ask.await?;
    let (found, next) = answer.value?;
    Ok(read(answer.position, found.page(app.list_cursor(paged, next))))
}

/// A value as an input brings it: inline, whatever its size.
fn value_of(value: &Value) -> Payload {
    Payload::Inline(JsonText::new(value))
}

/// `POST /inbox/{task}`: a vote, an answer, or a part of one. In place of the task's id the run will
/// do, where one task of that kind is open.
#[utoipa::path(
    post,
    path = "/inbox/{task}",
    tag = "inbox",
    request_body = DecideBody,
    responses((status = 200, description = "The run after it.", body = crate::view::RunView))
)]
pub(crate) async fn decide(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(task): Path<String>,
    body: JsonBody<DecideBody>,
) -> Result<Response, Fault> {
    let JsonBody { value: asked, bytes } = body;
    let asks = asked.kind()?;
    let found = find(&app, &task, &asks);
    let (run, id, once) = once_of_task(&app, (&headers, &caller), &task, &bytes, found).await?;
    let roles = match &caller.roles {
        Some(roles) => roles.clone(),
        // The owner of the data folder has every role.
        None => app.roles_asked(run, &id).await?,
    };
    let name = Task::id_of(run, &id, false);
    let verb = asked.decision.clone().unwrap_or_else(|| "answer".to_owned());
    let kind = match asks {
        Asks::Vote(vote) => {
            let comments = remarks(&app, run, &id, asked.comments).await?;
            let (comment, edited) = (asked.comment, asked.value.as_ref().map(value_of));
            let seen = named(&app, run, &id, asked.seen.as_deref()).await?;
            // A rejection is taken whatever lies there.
            let found = if vote == Vote::Approve { app.look(run, &id).await? } else { None };
            let vote = VoteCast { id, vote, comment, roles, comments, edited, seen };
            match found {
                Some(found) => InputKind::MeasuredVote { vote, found },
                None => InputKind::Vote(vote),
            }
        }
        Asks::Answer(answer) => InputKind::Answer(QuestionAnswered { id, answer: value_of(&answer), roles }),
        Asks::Save(answer) => InputKind::SaveAnswer(AnswerSaved { id, answer: value_of(&answer), roles }),
    };
    let submitted = app.submit(run, kind, caller.actor, once).await;
    let went = submitted.map_err(|fault| with_next(fault, run, &name, &verb))?;
    Ok(written(StatusCode::OK, went, app.view(run).await?))
}

/// The digest that a vote names, whole or by its first digits; where these are of no digest that is shown, one of nothing.
async fn named(app: &App, run: RunId, id: &AttemptId, given: Option<&str>) -> Result<Option<Hash>, Fault> {
    /// Fewer may be the digits of another digest by chance.
    const DIGITS_MIN: usize = 8;
    let Some(given) = given else { return Ok(None) };
    let is_digest =
        given.len() <= 64 && given.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !is_digest || given.len() < DIGITS_MIN {
        return Err(Fault::new(Code::Invalid, format!("“{given}” is no digest of what a task shows"))
            .hint("give 8 to 64 of its digits (0-9, a-f), as `everfold show` prints them"));
    }
    if let Ok(whole) = given.parse::<Hash>() {
        return Ok(Some(whole));
    }
    let shown = app.seen_digest(run, id).await?;
    let shown = shown.filter(|digest| digest.to_string().starts_with(given));
    // Else it names nothing that is shown: the store knows the first answer to a repeated vote, and the core refuses others.
    Ok(Some(shown.unwrap_or_else(|| Hash::of(given.as_bytes()))))
}

/// The input that a body becomes.
enum Asks {
    Vote(Vote),
    Answer(Value),
    Save(Value),
}

impl DecideBody {
    fn kind(&self) -> Result<Asks, Fault> {
        let invalid = |message: &str| Err(Fault::new(Code::Invalid, message));
        match (&self.decision, &self.answers) {
            (Some(_), Some(_)) => invalid("give either `decision` or `answers`"),
            (None, None) => invalid("give `decision` for an approval, or `answers` for a question"),
            (None, Some(_)) if self.seen.is_some() => invalid("`seen` belongs to a decision"),
            (Some(_), None) if self.save => invalid("`save` keeps a part of an answer; a vote has no parts"),
            (Some(decision), None) => {
                let vote = serde_json::from_value(Value::String(decision.clone()));
                vote.map(Asks::Vote).map_err(|_| {
                    let near = everfold_engine::definition::similar(
                        decision,
                        ["approve", "reject", "changes"].into_iter(),
                    );
                    Fault::new(
                        Code::Invalid,
                        format!("“{decision}” is no decision: approve, reject or changes"),
                    )
                    .hinted(near.map(|near| format!("did you mean “{near}”?")))
                })
            }
            (None, Some(_))
                if self.comment.is_some() || self.value.is_some() || !self.comments.is_empty() =>
            {
                invalid("`comment`, `comments` and `value` belong to a decision; an answer has a `text`")
            }
            (None, Some(answers)) if self.save => Ok(Asks::Save(answers.clone())),
            (None, Some(answers)) => Ok(Asks::Answer(answers.clone())),
        }
    }
}

/// Remarks as they are recorded: each is on something that the task shows; where that is a kept file, with the hash of
/// the text that was shown.
async fn remarks(
    app: &App,
    run: RunId,
    id: &AttemptId,
    given: Vec<RemarkBody>,
) -> Result<Vec<Comment>, Fault> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let name = Task::id_of(run, id, false);
    let tasks = app.inbox(None, move |inbox| inbox.of_run(run)).await?;
    let task = tasks.into_iter().find(|task| task.id == name);
    let (show, files) = match task.map(|task| task.kind) {
        Some(TaskKind::Approval { show, shown, .. }) => (show, shown),
        // The core refuses the input, with the reason why the task is not open.
        _gone => (Payload::Inline(JsonText::null()), Default::default()),
    };
    let show = match show {
        Payload::Inline(text) => text.value(),
        Payload::Blob(_) => Value::Null, // Too large to be looked through here.
    };
    let is_shown = |on: &str| {
        let list = show.as_array();
        list.is_none_or(|list| list.iter().any(|shown| shown.as_str() == Some(on)))
    };
    let mut remarks = Vec::new();
    for remark in given {
        if let Some(on) = remark.on.as_deref().filter(|on| !is_shown(on)) {
            return Err(Fault::new(Code::BadAnswer, format!("“{on}” is not shown by {name}"))
                .hint(format!("`everfold show {}` lists what is shown", run.short())));
        }
        if remark.text.trim().is_empty() {
            return Err(Fault::new(Code::Invalid, "a remark has no `text`"));
        }
        let known = remark.on.as_ref().and_then(|on| files.get(on)).map(Hash::to_string);
        remarks.push(Comment {
            shown: remark.shown.or(known),
            on: remark.on,
            line: remark.line,
            quote: remark.quote,
            text: remark.text,
        });
    }
    Ok(remarks)
}

/// Adds to a refusal the command by which the caller goes on.
fn with_next(fault: Fault, run: RunId, task: &str, verb: &str) -> Fault {
    match fault.code {
        Code::WrongTask | Code::BadAnswer => {
            fault.hint(format!("see what it asks: everfold show {}", run.short()))
        }
        Code::Changed => {
            let (short, step) = (run.short(), task.split(':').nth(1).unwrap_or_default());
            fault.hint(format!(
                "look again: everfold show {short}; `everfold recheck {short} {step}` asks anew, with what lies there now"
            ))
        }
        Code::CommentNeeded => fault.hint(format!("say why: everfold {verb} {task} -m 'what is missing'")),
        Code::Superseded | Code::Decided | Code::NoTask => fault.hint("see what is open: everfold inbox"),
        _other => fault,
    }
}

/// The run and the attempt that a task's id names.
async fn find(app: &App, task: &str, asks: &Asks) -> Result<(RunId, AttemptId), Fault> {
    let unknown = || {
        Fault::new(Code::NoTask, format!("there is no task “{task}”"))
            .hint("`everfold inbox` lists what is open")
    };
    if let Ok(TaskName { run, id, blocked }) = task.parse::<TaskName>() {
        if blocked {
            return Err(Fault::new(Code::NoTask, format!("“{task}” is a blocked step and asks nothing"))
                .hint(format!("everfold unblock {run} --decision retry|recheck|proceed|skip|fail")));
        }
        return Ok((app.resolve(&run).await.map_err(|_| unknown())?, id));
    }
    if task.contains(':') {
        return Err(unknown());
    }
    let run = app.resolve(task).await.map_err(|_| unknown())?;
    let tasks = app.inbox(None, move |inbox| inbox.of_run(run)).await?;
    let is_asked = |task: &&Task| match asks {
        Asks::Vote(_) => matches!(task.kind, TaskKind::Approval { .. }),
        Asks::Answer(_) | Asks::Save(_) => matches!(task.kind, TaskKind::Question { .. }),
    };
    let open: Vec<&Task> = tasks.iter().filter(is_asked).collect();
    match open.as_slice() {
        [only] => Ok((run, only.id.parse::<TaskName>().map_err(|_| unknown())?.id)),
        [] => {
            let wanted = match asks {
                Asks::Vote(_) => "for no decision",
                Asks::Answer(_) | Asks::Save(_) => "no question",
            };
            Err(Fault::new(Code::NoTask, format!("run {} asks {wanted}", run.short()))
                .hint("`everfold inbox` lists what is open"))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|task| task.id.as_str()).collect();
            Err(Fault::new(Code::NoTask, format!("run {} asks several things", run.short()))
                .hint(format!("name one: {}", ids.join(", "))))
        }
    }
}
