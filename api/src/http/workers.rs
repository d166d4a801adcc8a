//! The routes of workers: polls for work, heartbeats and reports of attempts, and the list of workers.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use everfold_engine::definition::similar;
use everfold_engine::execution::Usage;
use everfold_engine::failure::is_code;
use everfold_engine::id::EffectId;
use everfold_workflows::remote::{
    AttemptFacts, AttemptName, Heartbeat, HeartbeatReply, Instance, Job, LeaseClaim, Reported,
    ReportedFailure, WorkerName, WorkerPoll, WorkerRefusal, WorkerReport,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::written;
use super::app::App;
use super::extract::{JsonBody, Params, Path};
use super::parameters::wait;
use super::session_check::SessionCheck;
use super::values::whole;
use crate::access::Caller;
use crate::fault::{Code, Fault};
use crate::node::{Node, WorkersAnswer, WriteReceipt};
use crate::schema;
use crate::text::cut;

/// The longest a poll waits, in seconds.
const WAIT_MAX: f64 = 60.0;
/// The most attempts that one poll takes.
const CAPACITY_MAX: usize = 100;
/// The most attempts that one worker says to hold.
const HOLDS_MAX: usize = 1_000;
/// The most functions of one worker.
const KINDS_MAX: usize = 200;
/// The largest output.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// The most lines of one heartbeat or report, and the longest of them.
const LINES_MAX: usize = 1_000;
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The most reports of usage.
const USAGES_MAX: usize = 1_000;
/// The longest text of a failure.
const TEXT_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PollBody {
    /// The functions that the worker does.
    #[schema(min_items = 1, max_items = 200, example = json!(["deploy.canary"]))]
    kinds: Vec<String>,
    /// How many attempts it takes at once.
    #[serde(default = "one", deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 100)]
    capacity: usize,
    /// How long it waits where there is no work, in seconds.
    #[serde(default = "half_a_minute")]
    #[schema(minimum = 0, maximum = 60, example = 30.0)]
    wait: f64,
    /// The process that polls, as it calls itself and no other one does: so processes of one token are told apart.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "build-7-4711-3f9a2c1b")]
    instance: Option<Instance>,
    /// All attempts that the process holds, by their ids: what else was given to a process of this `instance` is lost at
    /// once. Without it, or without `instance`, each is held until its lease ends.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schema::AttemptNameSchema>>, max_items = 1000)]
    holds: Option<Vec<String>>,
}

fn one() -> usize {
    1
}

fn half_a_minute() -> f64 {
    30.0
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PollAnswer {
    /// What it is given; empty where there was nothing.
    #[schema(value_type = Vec<schema::JobSchema>)]
    attempts: Vec<Job>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeatBody {
    /// As `poll` gave it.
    lease: String,
    /// The process, as it named itself to `poll`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    instance: Option<Instance>,
    /// Lines for the log of the attempt.
    #[serde(default)]
    #[schema(max_items = 1000)]
    log: Vec<String>,
    /// How far it is: shown, kept nowhere.
    #[serde(default)]
    progress: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteBody {
    /// As `poll` gave it.
    lease: String,
    /// The process, as it named itself to `poll`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    instance: Option<Instance>,
    /// What the step gives, at most 1 MiB.
    #[serde(default)]
    output: Value,
    /// What it used up.
    #[serde(default)]
    #[schema(max_items = 1000)]
    usage: Vec<UsageBody>,
    /// Lines for the log of the attempt.
    #[serde(default)]
    #[schema(max_items = 1000)]
    log: Vec<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailBody {
    /// As `poll` gave it.
    lease: String,
    /// The process, as it named itself to `poll`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    instance: Option<Instance>,
    #[schema(value_type = schema::ReportedFailureSchema)]
    failure: ReportedFailure,
    /// What it used up.
    #[serde(default)]
    #[schema(max_items = 1000)]
    usage: Vec<UsageBody>,
    /// Lines for the log of the attempt.
    #[serde(default)]
    #[schema(max_items = 1000)]
    log: Vec<String>,
}

/// What work used up.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UsageBody {
    model: Option<String>,
    /// Tokens read, those from a cache left out.
    #[serde(deserialize_with = "whole")]
    input_tokens: u64,
    /// Tokens read from a cache.
    #[serde(deserialize_with = "whole")]
    cached_tokens: u64,
    /// Tokens written.
    #[serde(deserialize_with = "whole")]
    output_tokens: u64,
    /// Cost in millionths of a US dollar.
    #[serde(deserialize_with = "whole")]
    cost_micros: u64,
    /// The agent's own session.
    session: Option<String>,
}

impl From<UsageBody> for Usage {
    fn from(body: UsageBody) -> Self {
        let UsageBody { model, input_tokens, cached_tokens, output_tokens, cost_micros, session } = body;
        Self { model, input_tokens, cached_tokens, output_tokens, cost_micros, session }
    }
}

pub(super) fn used(usage: Vec<UsageBody>) -> Vec<Usage> {
    usage.into_iter().map(Usage::from).collect()
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Taken)]
struct ReportReceipt {
    #[schema(value_type = schema::AttemptNameSchema)]
    id: AttemptName,
    /// Whether it had been said before.
    repeated: bool,
}

/// `GET /workers`: who polls, what they hold, and what waits for them.
#[utoipa::path(
    get,
    path = "/workers",
    tag = "workers",
    responses((status = 200, description = "The workers and the functions that they do.", body = WorkersAnswer))
)]
pub(crate) async fn list(State(app): State<App>) -> Json<WorkersAnswer> {
    Json(app.workers().await)
}

/// `POST /workers/poll`: waits for work.
#[utoipa::path(
    post,
    path = "/workers/poll",
    tag = "workers",
    request_body = PollBody,
    responses((status = 200, description = "The attempts that it is given.", body = PollAnswer))
)]
pub(crate) async fn poll(
    State(app): State<App>,
    caller: Caller,
    session: SessionCheck,
    body: JsonBody<PollBody>,
) -> Result<Json<PollAnswer>, Fault> {
    let PollBody { mut kinds, capacity, wait, instance, holds } = body.value;
    let invalid = |message: String| Err(Fault::new(Code::Invalid, message));
    if kinds.is_empty() || kinds.len() > KINDS_MAX {
        return invalid(format!("`kinds` names 1 to {KINDS_MAX} functions"));
    }
    if !(1..=CAPACITY_MAX).contains(&capacity) {
        return invalid(format!("`capacity` is 1 to {CAPACITY_MAX}"));
    }
    if !(0.0..=WAIT_MAX).contains(&wait) {
        return invalid(format!("`wait` is 0 to {WAIT_MAX} seconds"));
    }
    if holds.as_ref().is_some_and(|holds| holds.len() > HOLDS_MAX) {
        return invalid(format!("`holds` names at most {HOLDS_MAX} attempts"));
    }
    kinds.sort_unstable();
    kinds.dedup();
    for kind in &kinds {
        is_remote(&app, kind)?;
    }
    // What is no attempt is none that the worker was given.
    let named = |name: String| name.parse::<AttemptName>().ok().map(|name| name.0);
    let holds =
        holds.filter(|_| instance.is_some()).map(|holds| holds.into_iter().filter_map(named).collect());
    let poll = WorkerPoll { functions: kinds, capacity, wait: Duration::from_secs_f64(wait), holds };
    let worker = WorkerName::new(caller.actor.to_string(), instance);
    let attempts = tokio::select! {
        biased;
        () = app.closing() => Vec::new(),
        why = session.ended(&app) => return Err(Fault::new(Code::NotKnown, why)),
        polled = app.book().poll(&worker, poll) => polled.map_err(refused)?,
    };
    Ok(Json(PollAnswer { attempts }))
}

fn is_remote(app: &Node, name: &str) -> Result<(), Fault> {
    let functions = app.functions();
    if functions.is_remote(name) {
        return Ok(());
    }
    let remote: Vec<&str> = functions.names().into_iter().filter(|it| functions.is_remote(it)).collect();
    let hint = match similar(name, remote.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if remote.is_empty() => {
            format!("no function is left to workers: write [workers.functions.\"{name}\"] into everfold.toml")
        }
        None => format!("there are {}", remote.join(", ")),
    };
    let what = if functions.known(name).is_ok() { "is done by the engine itself" } else { "is none of them" };
    Err(Fault::new(Code::NotRemote, format!("workers do no {name}: it {what}")).hint(hint))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BeatParams {
    /// How long it waits for a stop of the attempt, at most a minute and half of the lease; it is answered as soon as there
    /// is one.
    #[param(pattern = "^([0-5]?[0-9]|60)s$", example = "10s")]
    wait: Option<String>,
}

/// `POST /workers/attempts/{id}/heartbeat`: extends the lease of an attempt.
#[utoipa::path(
    post,
    path = "/workers/attempts/{id}/heartbeat",
    tag = "workers",
    params(BeatParams),
    request_body = BeatBody,
    responses((status = 200, description = "Until when it is held, and whether it is to end.", body = schema::HeardSchema))
)]
pub(crate) async fn heartbeat(
    State(app): State<App>,
    caller: Caller,
    session: SessionCheck,
    Path(id): Path<String>,
    Params(params): Params<BeatParams>,
    body: JsonBody<BeatBody>,
) -> Result<Json<HeartbeatReply>, Fault> {
    let wait = wait(params.wait.as_deref())?.unwrap_or_default();
    let BeatBody { lease, instance, log, progress } = body.value;
    lines_fit(&log)?;
    if progress.as_ref().is_some_and(|line| line.len() > LINE_BYTES_MAX) {
        return Err(Fault::new(Code::TooLarge, "`progress` is longer than 64 KiB"));
    }
    let claim = lease_claim(&caller, &id, lease, instance)?;
    let (book, id) = (app.book(), claim.id.0.clone());
    let known = facts(&app, &claim);
    let reply = match book.heartbeat(claim.clone(), Heartbeat { log, progress }, known).await {
        Ok(reply) => reply,
        Err(why) => return Err(refused_report(&app, &id, why).await),
    };
    if reply.cancel || wait.is_zero() {
        return Ok(Json(reply));
    }
    let stops = tokio::select! {
        biased;
        () = app.closing() => return Ok(Json(reply)),
        why = session.ended(&app) => return Err(Fault::new(Code::NotKnown, why)),
        stops = book.stop_requested(&id, wait) => stops,
    };
    let over = |why: String| Ok(Json(HeartbeatReply { cancel: true, reason: Some(why), ..reply }));
    let known = facts(&app, &claim);
    match book.heartbeat(claim, Heartbeat::default(), known).await {
        // Its end is on the way to its run.
        Ok(HeartbeatReply { cancel: false, .. }) if stops => over("the attempt is over".to_owned()),
        Ok(reply) => Ok(Json(reply)),
        // What ended meanwhile was the worker's when it sent this.
        Err(WorkerRefusal::Over(why)) => over(why),
        Err(why) => Err(refused_report(&app, &id, why).await),
    }
}

/// `POST /workers/attempts/{id}/complete`: an attempt succeeded. A repeat is
/// recognised by its lease.
#[utoipa::path(
    post,
    path = "/workers/attempts/{id}/complete",
    tag = "workers",
    request_body = CompleteBody,
    responses((status = 200, description = "It is kept; once is enough.", body = ReportReceipt))
)]
pub(crate) async fn complete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: JsonBody<CompleteBody>,
) -> Result<Response, Fault> {
    let CompleteBody { lease, instance, output, usage, log } = body.value;
    report(
        &app,
        lease_claim(&caller, &id, lease, instance)?,
        WorkerReport { result: Reported::Output(output), usage: used(usage), log },
    )
    .await
}

/// `POST /workers/attempts/{id}/fail`: an attempt failed. A repeat is recognised
/// by its lease.
#[utoipa::path(
    post,
    path = "/workers/attempts/{id}/fail",
    tag = "workers",
    request_body = FailBody,
    responses((status = 200, description = "It is kept; once is enough.", body = ReportReceipt))
)]
pub(crate) async fn fail(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: JsonBody<FailBody>,
) -> Result<Response, Fault> {
    let FailBody { lease, instance, failure, usage, log } = body.value;
    let result = Reported::Failure(failure.into());
    report(
        &app,
        lease_claim(&caller, &id, lease, instance)?,
        WorkerReport { result, usage: used(usage), log },
    )
    .await
}

/// Takes a report; whether it had been said before.
pub(super) async fn take(app: &App, claim: LeaseClaim, report: WorkerReport) -> Result<bool, Fault> {
    fits(&report)?;
    let (id, facts) = (claim.id.0.clone(), facts(app, &claim));
    match app.book().report(claim, report, facts).await {
        Ok(repeated) => Ok(repeated),
        Err(why) => Err(refused_report(app, &id, why).await),
    }
}

fn fits(report: &WorkerReport) -> Result<(), Fault> {
    lines_fit(&report.log)?;
    if report.usage.len() > USAGES_MAX {
        return Err(Fault::new(Code::TooLarge, format!("`usage` has more than {USAGES_MAX} parts")));
    }
    match &report.result {
        Reported::Output(output) => {
            let bytes = output.to_string().len();
            if bytes > OUTPUT_BYTES_MAX {
                let message =
                    format!("the output has {bytes} bytes, and an output has at most {OUTPUT_BYTES_MAX}");
                return Err(
                    Fault::new(Code::TooLarge, message).hint("keep it elsewhere, and give its address")
                );
            }
        }
        Reported::Failure(failure) => {
            let texts = [Some(&failure.message), failure.code.as_ref(), failure.hint.as_ref()];
            let texts = texts.into_iter().chain([failure.detail.as_ref()]).flatten();
            if texts.into_iter().any(|text| text.len() > TEXT_BYTES_MAX) {
                return Err(Fault::new(Code::TooLarge, "a text of the failure is longer than 64 KiB"));
            }
            if let Some(code) = failure.code.as_ref().filter(|code| !is_code(code)) {
                return Err(Fault::new(Code::Invalid, format!("`failure.code` is “{}”, which is no code", cut(code, 64)))
                    .hint("a code is UPPER_CASE: `[A-Z][A-Z0-9_]{0,63}`; what else there is to say stands in `message`"));
            }
        }
    }
    Ok(())
}

async fn report(app: &App, claim: LeaseClaim, report: WorkerReport) -> Result<Response, Fault> {
    let id = claim.id.clone();
    let repeated = take(app, claim, report).await?;
    let went = WriteReceipt { position: app.store().last_position(), replayed: repeated };
    Ok(written(axum::http::StatusCode::OK, went, ReportReceipt { id, repeated }))
}

pub(super) fn lease_claim(
    caller: &Caller,
    id: &str,
    lease: String,
    instance: Option<Instance>,
) -> Result<LeaseClaim, Fault> {
    let id = id.parse().map_err(|error| Fault::new(Code::Invalid, format!("{error}")))?;
    let _: &AttemptName = &id;
    Ok(LeaseClaim { id, lease, worker: WorkerName::new(caller.actor.to_string(), instance) })
}

/// What the run says of the attempt. Where the run cannot be read now the answer is an error, so that the worker asks
/// again: a “no” would make it drop what it has done.
fn facts(app: &App, claim: &LeaseClaim) -> impl Future<Output = Result<AttemptFacts, String>> + use<> {
    let (app, id) = (App::clone(app), claim.id.0.clone());
    async move { app.attempt_facts(&id).await.map_err(|fault| fault.message) }
}

fn lines_fit(log: &[String]) -> Result<(), Fault> {
    if log.len() > LINES_MAX || log.iter().any(|line| line.len() > LINE_BYTES_MAX) {
        return Err(Fault::new(Code::TooLarge, "`log` has more than 1,000 lines, or one longer than 64 KiB"));
    }
    Ok(())
}

/// The fault of a report that is refused. Where the attempt is over it says how the attempt failed, too: the output
/// that the worker reported may have been refused since.
async fn refused_report(app: &App, id: &EffectId, why: WorkerRefusal) -> Fault {
    let failed = match &why {
        WorkerRefusal::Over(_) => app.failure_of(id).await,
        _other => None,
    };
    let fault = refused(why);
    match failed.filter(|failure| !fault.message.contains(failure.as_str())) {
        Some(failure) => {
            Fault { message: format!("{}; the attempt failed: {failure}", fault.message), ..fault }
        }
        None => fault,
    }
}

fn refused(refused: WorkerRefusal) -> Fault {
    let message = refused.to_string();
    match refused {
        WorkerRefusal::Unknown | WorkerRefusal::Foreign(_) | WorkerRefusal::OtherLease(_) => {
            Fault::new(Code::NotHeld, message).hint(
                "drop the work; name the attempt and the lease as `poll` gave them, with the same token",
            )
        }
        WorkerRefusal::OtherInstance(_) => Fault::new(Code::NotHeld, message).hint(
            "drop the work; a process names itself with `instance` in every report as it did to `poll`",
        ),
        WorkerRefusal::Over(_) => Fault::new(Code::AttemptOver, message)
            .hint("drop the work: nothing that it gives counts any more"),
        WorkerRefusal::TooMany => Fault::new(Code::TooFast, message).retry_after(Duration::from_secs(5)),
        WorkerRefusal::NotKept(_) => {
            Fault::new(Code::StoreIo, message).hint("say it again").retry_after(Duration::from_secs(1))
        }
    }
}
