//! Budgets of a run, and what was used up.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::event::Spent;
use everfold_engine::input::InputKind;
use everfold_projections::SpendFilter;
use serde::Deserialize;

use super::answer::{read, written};
use super::app::App;
use super::extract::{JsonBody, Params, Path};
use super::parameters::{min_position, moment};
use super::relative_names::once_of_run;
use super::spend_groups::SpendGroups;
use super::state::begun_by;
use crate::access::Caller;
use crate::body::spend::RaiseBody;
use crate::body::spend::{BudgetsAnswer, SpendAnswer};
use crate::fault::{Code, Fault};
use crate::node::{money, span};

/// `GET /runs/{id}/budget`: the budgets of a run.
#[utoipa::path(
    get,
    path = "/runs/{run}/budget",
    tag = "spending",
    responses((status = 200, description = "The budgets of the run.", body = BudgetsAnswer))
)]
pub(crate) async fn budget(
    State(app): State<App>,
    Path(run): Path<String>,
) -> Result<Json<BudgetsAnswer>, Fault> {
    let run = app.resolve(&run).await?;
    Ok(Json(BudgetsAnswer { items: app.view(run).await?.budget }))
}

/// `POST /runs/{id}/budget`: a person raises a budget. The answer shows what that let go on.
#[utoipa::path(
    post,
    path = "/runs/{run}/budget",
    tag = "spending",
    request_body = RaiseBody,
    responses((status = 200, description = "The run after it.", body = crate::view::RunView))
)]
pub(crate) async fn raise(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
    body: JsonBody<RaiseBody>,
) -> Result<Response, Fault> {
    let (run, once) = once_of_run(&app, (&headers, &caller), &run, "budget", &body.bytes).await?;
    app.refuse_own_budgets(&caller.actor, run).await?;
    let kind = raising(&app, body.value)?;
    let went = app.submit(run, kind, caller.actor, once).await?;
    app.counters_have_answered(run, went.position).await;
    Ok(written(StatusCode::OK, went, app.view(run).await?))
}

/// What `budget` asks of a run.
pub(super) fn raising(app: &App, asked: RaiseBody) -> Result<InputKind, Fault> {
    let add = Spent {
        cost_micros: match &asked.add {
            Some(add) => money(app.engine().rates(), "add", add)?.0,
            None => 0,
        },
        tokens: asked.tokens.unwrap_or(0),
        wall_ms: asked.wall.as_deref().map_or(Ok(0), |wall| span("wall", wall))?,
    };
    Ok(InputKind::RaiseBudget { budget: asked.budget, add, reason: asked.reason })
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SpendParams {
    /// `run`, `step`, `role`, `model`, `day`, `pipeline`, or `label:NAME`: by that label of the runs.
    by: Option<String>,
    run: Option<String>,
    pipeline: Option<String>,
    since: Option<String>,
    /// A time or a position: what was used up by then.
    at: Option<String>,
    min_position: Option<u64>,
}

/// `GET /spend`: what was used up, by run, step, role, model, day, pipeline, or a label of the runs.
#[utoipa::path(
    get,
    path = "/spend",
    tag = "spending",
    params(SpendParams),
    responses((status = 200, description = "What was used up, in groups.", body = SpendAnswer))
)]
pub(crate) async fn spend(
    State(app): State<App>,
    Params(params): Params<SpendParams>,
) -> Result<Response, Fault> {
    let by = params.by.unwrap_or_else(|| "run".to_owned());
    let groups = SpendGroups::read(&by)?;
    let run = match &params.run {
        Some(run) => Some(app.resolve(run).await?),
        None => None,
    };
    let is_day = |text: &String| {
        let parts: Vec<&str> = text.split('-').collect();
        let is_number = |(part, digits): (&&str, usize)| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let has_its_form = parts.len() == 3 && parts.iter().zip([4, 2, 2]).all(is_number);
        has_its_form && text.parse::<jiff::civil::Date>().is_ok()
    };
    if let Some(since) = params.since.as_ref().filter(|since| !is_day(since)) {
        return Err(Fault::new(Code::Invalid, format!("since: “{since}” is no day"))
            .hint("write 2026-11-20; days are those of UTC"));
    }
    let filter = SpendFilter { run, pipeline: params.pipeline, since: params.since };
    let at = moment(&app, params.at.as_deref()).await?;
    if let Some(run) = run {
        begun_by(&app, run, at).await?;
    }
    let min = min_position(&app, params.min_position)?;
    let (items, total, position) = groups.of(&app, filter, at, min).await?;
    // What shared budgets have reserved and spent is known of now alone.
    let budgets = if at.is_none() { app.counters().await? } else { Vec::new() };
    Ok(read(position, SpendAnswer { by, items, total, budgets }))
}
