//! What people are asked, and what they answer.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::definition::Vote;
use everfold_engine::id::{Attempt, AttemptId, Round, RunId, StepPath};
use everfold_engine::input::InputKind;
use everfold_engine::store::DedupKeep;
use everfold_projections::{Task, TaskKind};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Page, written};
use super::extract::{Body, Params, once};
use super::{App, Caller};
use crate::fault::{Code, Fault};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListParams {
    role: Option<String>,
    run: Option<String>,
}

/// `GET /inbox`: what is open, oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<Task>>, Fault> {
    let run = match &params.run {
        Some(run) => Some(app.resolve(run).await?),
        None => None,
    };
    let models = app.models().await?;
    let tasks = models.inbox.list(params.role.as_deref()).into_iter();
    let items = tasks.filter(|task| run.is_none_or(|run| task.run == run)).cloned().collect();
    Ok(Json(Page { items, next_cursor: None }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideBody {
    decision: String,
    comment: Option<String>,
}

/// `POST /inbox/{task}`: a vote on an approval. In place of the task's id the run will do, where one
/// approval of it is open.
pub(crate) async fn decide(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(task): Path<String>,
    body: Body<DecideBody>,
) -> Result<Response, Fault> {
    let Body { value: asked, bytes } = body;
    let vote: Vote = serde_json::from_value(Value::String(asked.decision.clone())).map_err(|_| {
        Fault::new(Code::Invalid, format!("“{}” is no decision: approve, reject or changes", asked.decision))
    })?;
    let (run, id) = find(&app, &task).await?;
    let once = once(&headers, &caller, &format!("POST /inbox/{run}/{id}"), &bytes, DedupKeep::Week)?;
    let roles = match &caller.roles {
        Some(roles) => roles.clone(),
        // The owner of the data folder has every role.
        None => app.roles_asked(run, &id).await?,
    };
    let kind =
        InputKind::Vote { id, vote, comment: asked.comment, roles, comments: Vec::new(), edited: None };
    let position = app.submit(run, kind, caller.actor, once).await?;
    Ok(written(StatusCode::OK, position, app.view(run).await?))
}

/// The run and the attempt that a task's id names.
async fn find(app: &App, task: &str) -> Result<(RunId, AttemptId), Fault> {
    let unknown = || {
        Fault::new(Code::NoTask, format!("there is no task “{task}”"))
            .hint("`everfold inbox` lists what is open")
    };
    let mut parts = task.split(':');
    let (run, path, round) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    match (path, round, parts.next()) {
        (Some(_), Some(_), Some("blocked")) => {
            Err(Fault::new(Code::NoTask, format!("“{task}” is a blocked step, not an approval"))
                .hint(format!("everfold unblock {run} --decision retry|recheck|proceed|skip|fail")))
        }
        (Some(path), Some(round), None) => {
            let run = app.resolve(run).await.map_err(|_| unknown())?;
            let path: StepPath = path.parse().map_err(|_| unknown())?;
            let round = Round(round.parse().map_err(|_| unknown())?);
            Ok((run, AttemptId { path, round, attempt: Attempt::FIRST }))
        }
        (None, ..) => {
            let run = app.resolve(run).await.map_err(|_| unknown())?;
            let models = app.models().await?;
            let open: Vec<&Task> = models
                .inbox
                .list(None)
                .into_iter()
                .filter(|task| task.run == run && matches!(task.kind, TaskKind::Approval { .. }))
                .collect();
            match open.as_slice() {
                [only] => {
                    let path = only.step.parse().map_err(|_| unknown())?;
                    Ok((run, AttemptId { path, round: only.round, attempt: Attempt::FIRST }))
                }
                [] => Err(Fault::new(Code::NoTask, format!("run {} asks nobody", run.short()))
                    .hint("`everfold inbox` lists what is open")),
                several => {
                    let ids: Vec<&str> = several.iter().map(|task| task.id.as_str()).collect();
                    Err(Fault::new(Code::NoTask, format!("run {} asks several things", run.short()))
                        .hint(format!("name one: {}", ids.join(", "))))
                }
            }
        }
        _other => Err(unknown()),
    }
}
