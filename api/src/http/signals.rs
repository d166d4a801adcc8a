//! Signals, breakpoints, and pauses of pipelines and of the engine.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::driver::By;
use everfold_engine::event::{BreakpointsSet, HaltScope};
use everfold_engine::id::StepId;
use everfold_engine::input::InputKind;
use everfold_engine::json::JsonText;
use everfold_engine::pauses::PauseOrder;
use everfold_engine::store::DedupKeep;
use serde::{Deserialize, Serialize};

use super::answer::written;
use super::app::App;
use super::extract::{JsonBody, Path, once};
use super::relative_names::once_of_run;
use super::values::refuse_credential;
use crate::access::Caller;
use crate::body::steering::{BreakpointsBody, HaltBody, SignalAllBody, SignalBody};
use crate::fault::{Code, Fault};
use crate::node::{HaltView, Signal, SignalReceipt, Signalled};
use crate::view::RunView;

/// The answer to a signal: who took it, and the run after it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct SignalAnswer {
    pub(crate) taken: Vec<SignalReceipt>,
    /// Why no part of the run took it.
    pub(crate) reason: Option<String>,
    pub(crate) repeated: bool,
    pub(crate) run: RunView,
}

/// `POST /runs/{id}/signals/{name}`: a signal to one run.
#[utoipa::path(
    post,
    path = "/runs/{run}/signals/{name}",
    tag = "steering",
    request_body = SignalBody,
    responses((status = 200, description = "Who took it.", body = SignalAnswer))
)]
pub(crate) async fn signal(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path((run, name)): Path<(String, String)>,
    body: JsonBody<SignalBody>,
) -> Result<Response, Fault> {
    let verb = format!("signals/{name}");
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, &verb, &body.bytes).await?;
    let signal = Signal { name, payload: JsonText::new(&body.value.payload), delivery: body.value.delivery };
    let (went, outcome) = app.signal(run, &signal, caller.actor, once).await?;
    let Signalled { taken, reason, repeated, .. } = outcome;
    let answer = SignalAnswer { taken, reason, repeated, run: app.view(run).await? };
    Ok(written(StatusCode::OK, went, answer))
}

/// What became of a signal in each run that heard it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SignalledAnswer {
    items: Vec<Signalled>,
}

/// `POST /signals/{name}`: to the run that has the key, or to every unended run that has all the labels.
#[utoipa::path(
    post,
    path = "/signals/{name}",
    tag = "steering",
    request_body = SignalAllBody,
    responses((status = 200, description = "What became of it in each run.", body = SignalledAnswer))
)]
pub(crate) async fn signal_all(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: JsonBody<SignalAllBody>,
) -> Result<Response, Fault> {
    let JsonBody { value: asked, bytes } = body;
    let once = once(&headers, &caller, &format!("POST /signals/{name}"), &bytes, DedupKeep::Week)?;
    let signal = Signal { name, payload: JsonText::new(&asked.payload), delivery: asked.delivery };
    let (went, items) = match (&asked.key, asked.labels.is_empty()) {
        (Some(key), true) => {
            let (went, outcome) = app.signal_key(key, &signal, caller.actor, once).await?;
            (went, vec![outcome])
        }
        (None, false) => app.signal_labels(&asked.labels, &signal, &caller.actor, &once).await?,
        (None, true) => {
            let what = "key or labels name the runs; without them every run would be meant";
            return Err(Fault::new(Code::Invalid, what));
        }
        (Some(_), false) => return Err(Fault::new(Code::Invalid, "give key or labels, not both")),
    };
    Ok(written(StatusCode::OK, went, SignalledAnswer { items }))
}

/// `PUT /runs/{id}/breakpoints`: all of them; an empty list takes them away.
#[utoipa::path(
    put,
    path = "/runs/{run}/breakpoints",
    tag = "steering",
    request_body = BreakpointsBody,
    responses((status = 200, description = "The run after it.", body = RunView))
)]
pub(crate) async fn breakpoints(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    body: JsonBody<BreakpointsBody>,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, "breakpoints", &body.bytes).await?;
    let steps = body.value.steps.iter().map(|step| StepId::new(step)).collect();
    let went = app.submit(run, InputKind::Breakpoints(BreakpointsSet { steps }), caller.actor, once).await?;
    Ok(written(StatusCode::OK, went, app.view(run).await?))
}

/// What is paused.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct EngineAnswer {
    /// The pauses in force, that of the engine first.
    paused: Vec<HaltView>,
}

/// `GET /engine`: what is paused.
#[utoipa::path(
    get,
    path = "/engine",
    tag = "steering",
    responses((status = 200, description = "The pauses in force.", body = EngineAnswer))
)]
pub(crate) async fn engine(State(app): State<App>) -> Result<Json<EngineAnswer>, Fault> {
    Ok(Json(EngineAnswer { paused: app.halts().await? }))
}

/// `POST /engine/pause`: a pipeline's runs stand still, or all runs.
#[utoipa::path(
    post,
    path = "/engine/pause",
    tag = "steering",
    request_body = HaltBody,
    responses((status = 200, description = "Every unended run was told.", body = crate::node::HaltsView))
)]
pub(crate) async fn pause(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: JsonBody<HaltBody>,
) -> Result<Response, Fault> {
    halt(app, caller, &headers, PauseOrder::Halt, body).await
}

/// `POST /engine/resume`: they go on.
#[utoipa::path(
    post,
    path = "/engine/resume",
    tag = "steering",
    request_body = HaltBody,
    responses((status = 200, description = "Every unended run was told.", body = crate::node::HaltsView))
)]
pub(crate) async fn resume(
    app: State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: JsonBody<HaltBody>,
) -> Result<Response, Fault> {
    halt(app, caller, &headers, PauseOrder::Release, body).await
}

async fn halt(
    State(app): State<App>,
    caller: Caller,
    headers: &HeaderMap,
    wanted: PauseOrder,
    JsonBody { value: asked, bytes }: JsonBody<HaltBody>,
) -> Result<Response, Fault> {
    let about = match wanted {
        PauseOrder::Halt => "POST /engine/pause",
        PauseOrder::Release => "POST /engine/resume",
    };
    let dedup = once(headers, &caller, about, &bytes, DedupKeep::Week)?.dedup;
    let by = By { actor: caller.actor, dedup };
    asked.pipeline.iter().try_for_each(|name| refuse_credential(&app, "the name of the pipeline", name))?;
    // One that a former version paused can be resumed.
    let is_nameless = asked.pipeline.as_ref().is_some_and(|name| name.trim().is_empty());
    if matches!(wanted, PauseOrder::Halt) && is_nameless {
        return Err(Fault::new(Code::Invalid, "`pipeline` names none: it is empty")
            .hint("leave it out for the whole engine"));
    }
    let scope = asked.pipeline.map_or(HaltScope::Engine, HaltScope::Pipeline);
    let (went, view) = app.halt(wanted, scope, asked.reason.as_deref(), by).await?;
    Ok(written(StatusCode::OK, went, view))
}
