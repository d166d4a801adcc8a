//! Steering one run: cancel, abandon, pause, resume, unblock, recheck, note, drive.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::decide::{Refusal, override_refusal};
use everfold_engine::driver::QueryError;
use everfold_engine::event::{
    CancelRequested, NoteAdded, RecheckRequested, RunPaused, RunResumed, StepCancelRequested, UnblockDecision,
};
use everfold_engine::id::{BadStepPath, RunId, StepPath, Version};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Payload};
use everfold_engine::state::RunState;
use everfold_engine::tokens::Role;
use serde::Serialize;
use serde_json::Value;

use super::answer::{read, written};
use super::app::App;
use super::extract::{JsonBody, Path};
use super::relative_names::once_of_run;
use crate::access::Caller;
use crate::body::steering::{
    CancelBody, DriveBody, NoteBody, ReasonBody, RecheckBody, ResumeBody, UnblockBody,
};
use crate::fault::{Code, Fault};
use crate::node::Node;
use crate::schema;
use crate::view::RunView;

/// `POST /runs/{id}/pause`: nothing new is started.
#[utoipa::path(
    post,
    path = "/runs/{run}/pause",
    tag = "steering",
    request_body = ReasonBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn pause(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<ReasonBody>,
) -> Result<Response, Fault> {
    let kind = InputKind::Pause(RunPaused { reason: body.value.reason, interrupt: false });
    act(app, caller, headers, run, "pause", &body.bytes, kind).await
}

/// `POST /runs/{id}/interrupt`: nothing new is started, and what runs is stopped.
///
/// Its rounds stay open: when the run is resumed they go on, agents in the same session. No try of `retry` is used up. A
/// run that a step started has an interrupt of its own.
#[utoipa::path(
    post,
    path = "/runs/{run}/interrupt",
    tag = "steering",
    request_body = ReasonBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn interrupt(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<ReasonBody>,
) -> Result<Response, Fault> {
    let kind = InputKind::Pause(RunPaused { reason: body.value.reason, interrupt: true });
    act(app, caller, headers, run, "interrupt", &body.bytes, kind).await
}

/// `POST /runs/{id}/resume`: it goes on; `prompt` is said to agents that were interrupted. A run that is set aside is
/// loaded again first: it goes on where what set it aside is over.
#[utoipa::path(
    post,
    path = "/runs/{run}/resume",
    tag = "steering",
    request_body = ResumeBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn resume(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<ResumeBody>,
) -> Result<Response, Fault> {
    let State(node) = &app;
    let id = node.resolve(&run.0).await?;
    if loaded_again(node, id).await? {
        return Ok(read(node.store().last_position(), node.view(id).await?));
    }
    act(app, caller, headers, run, "resume", &body.bytes, resuming(body.value)).await
}

/// Loads a run that is set aside again. Answers whether that is all that a resume asks of it.
pub(super) async fn loaded_again(node: &Node, run: RunId) -> Result<bool, Fault> {
    if node.why_set_aside(run).is_none() {
        return Ok(false);
    }
    node.drive(run, false).await?;
    // What is paused with others is theirs to lift, and nothing else is left to be recorded.
    Ok(!node.view(run).await?.paused.iter().any(|pause| !pause.shared))
}

/// What `resume` asks of a run.
pub(super) fn resuming(ResumeBody { reason, prompt }: ResumeBody) -> InputKind {
    let prompt = prompt.filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.map(|prompt| Payload::Inline(JsonText::new(&prompt.into())));
    InputKind::Resume(RunResumed { reason, prompt })
}

/// `POST /runs/{id}/cancel`: the run, or one step of it.
#[utoipa::path(
    post,
    path = "/runs/{run}/cancel",
    tag = "steering",
    request_body = CancelBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn cancel(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<CancelBody>,
) -> Result<Response, Fault> {
    let kind = cancelling(body.value)?;
    act(app, caller, headers, run, "cancel", &body.bytes, kind).await
}

/// What `cancel` asks of a run.
pub(super) fn cancelling(CancelBody { step, reason }: CancelBody) -> Result<InputKind, Fault> {
    Ok(match step.as_deref().map(path).transpose()? {
        None => InputKind::Cancel(CancelRequested { reason }),
        Some(path) => InputKind::CancelStep(StepCancelRequested { path, reason }),
    })
}

fn path(step: &str) -> Result<StepPath, Fault> {
    step.parse().map_err(|error: BadStepPath| Fault::new(Code::NoStep, error.to_string()))
}

/// A run that was given up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AbandonedAnswer {
    #[schema(value_type = schema::RunIdSchema)]
    id: RunId,
    short_id: String,
    /// The event that ended it.
    #[schema(value_type = u64)]
    version: Version,
}

/// `POST /runs/{id}/abandon`: a run that is set aside ends where it stands.
///
/// Its key and slots go to others. Nothing of it is followed up, and no step of `on_finish` begins. A run that is
/// not set aside is cancelled instead.
#[utoipa::path(
    post,
    path = "/runs/{run}/abandon",
    tag = "steering",
    request_body = ReasonBody,
    responses((status = 200, description = "It has ended. Its history may still be one that cannot be shown.", body = AbandonedAnswer))
)]
pub(crate) async fn abandon(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    body: JsonBody<ReasonBody>,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, "abandon", &body.bytes).await?;
    let ended = app.abandon(run, body.value.reason, caller.actor, once).await?;
    let answer = AbandonedAnswer { id: run, short_id: run.short(), version: ended.version };
    Ok(written(StatusCode::OK, ended, answer))
}

/// `POST /runs/{id}/unblock`: a person decides how a blocked step goes on.
#[utoipa::path(
    post,
    path = "/runs/{run}/unblock",
    tag = "steering",
    request_body = UnblockBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn unblock(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<UnblockBody>,
) -> Result<Response, Fault> {
    let kind = unblocking(body.value)?;
    act(app, caller, headers, run, "unblock", &body.bytes, kind).await
}

/// What `unblock` asks of a run.
pub(super) fn unblocking(asked: UnblockBody) -> Result<InputKind, Fault> {
    with_reason(InputKind::Unblock {
        path: asked.step.as_deref().map(path).transpose()?,
        decision: decision(&asked.decision)?,
        output: asked.output.map(|value| JsonText::new(&value)),
        reason: asked.reason,
        policies: asked.policy,
        keeps_items: true,
    })
}

/// Refuses an order that overrides what the pipeline decides where its body has no reason.
fn with_reason(kind: InputKind) -> Result<InputKind, Fault> {
    match kind.override_without_reason() {
        Some(what) => Err(Refusal::ReasonNeeded { what }.into()),
        None => Ok(kind),
    }
}

/// `POST /runs/{id}/recheck`: all gates of a step are judged again on the same artefacts.
#[utoipa::path(
    post,
    path = "/runs/{run}/recheck",
    tag = "steering",
    request_body = RecheckBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn recheck(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<RecheckBody>,
) -> Result<Response, Fault> {
    let kind = rechecking(body.value)?;
    act(app, caller, headers, run, "recheck", &body.bytes, kind).await
}

/// What `recheck` asks of a run.
pub(super) fn rechecking(asked: RecheckBody) -> Result<InputKind, Fault> {
    let path = path(&asked.step)?;
    with_reason(InputKind::Recheck(RecheckRequested { path, policies: asked.policy, reason: asked.reason }))
}

/// The words of the decisions on a blocked step.
pub(crate) const UNBLOCK_WORDS: [&str; 5] = ["retry", "recheck", "proceed", "skip", "fail"];

fn decision(word: &str) -> Result<UnblockDecision, Fault> {
    serde_json::from_value(Value::String(word.to_owned())).map_err(|_| {
        let near = everfold_engine::definition::similar(word, UNBLOCK_WORDS.into_iter());
        Fault::new(
            Code::Invalid,
            format!("“{word}” is no decision: it is one of {}", UNBLOCK_WORDS.join(", ")),
        )
        .hinted(near.map(|near| format!("did you mean “{near}”?")))
    })
}

/// `POST /runs/{id}/notes`: a note in the history.
#[utoipa::path(
    post,
    path = "/runs/{run}/notes",
    tag = "steering",
    request_body = NoteBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn note(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    run: Path<String>,
    body: JsonBody<NoteBody>,
) -> Result<Response, Fault> {
    let kind = InputKind::Note(NoteAdded { text: body.value.text });
    act(app, caller, headers, run, "notes", &body.bytes, kind).await
}

/// `POST /runs/{id}/drive`: the owner goes on with the run; records nothing.
#[utoipa::path(
    post,
    path = "/runs/{run}/drive",
    tag = "steering",
    request_body = DriveBody,
    responses((status = 200, description = "The run.", body = RunView))
)]
pub(crate) async fn drive(
    State(app): State<App>,
    Path(run): Path<String>,
    body: JsonBody<DriveBody>,
) -> Result<Json<RunView>, Fault> {
    let run = app.resolve(&run).await?;
    app.drive(run, body.value.detach).await?;
    Ok(Json(app.view(run).await?))
}

async fn act(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    verb: &str,
    body: &[u8],
    kind: InputKind,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, verb, body).await?;
    refuse_override(&app, run, &caller, &kind).await?;
    let went = app.submit(run, kind, caller.actor, once).await?;
    Ok(written(StatusCode::OK, went, app.view(run).await?))
}

/// Refuses to pass over an approval where its terms keep the caller from deciding it: an admin overrides them, others do not.
pub(super) async fn refuse_override(
    app: &App,
    run: RunId,
    caller: &Caller,
    kind: &InputKind,
) -> Result<(), Fault> {
    let (InputKind::Unblock { .. }, Some(roles)) = (kind, &caller.roles) else { return Ok(()) };
    if caller.role == Some(Role::Admin) {
        return Ok(());
    }
    let (asked, roles, by) = (kind.clone(), roles.clone(), caller.actor.clone());
    let look = move |state: &RunState| override_refusal(state, &asked, &roles, &by);
    match app.engine().with_state(run, look).await {
        Ok(Some(refusal)) => {
            Err(Fault::from(refusal).hint("an admin may override it, which the audit shows"))
        }
        // Where there is no such run, the order itself is refused.
        Ok(None) | Err(QueryError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
