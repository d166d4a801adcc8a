//! Budgets of a run, and what was used up.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::definition::Money;
use everfold_engine::duration;
use everfold_engine::event::Spent;
use everfold_engine::input::InputKind;
use everfold_projections::{SpendBy, SpendFilter, SpendRow, SpendView};
use serde::Deserialize;

use super::answer::written;
use super::app::App;
use super::extract::{JsonBody, Params, Path};
use super::parameters::{min_position, moment};
use super::relative_names::once_of_run;
use crate::access::Caller;
use crate::body::spend::RaiseBody;
use crate::body::spend::{BudgetsAnswer, SpendAnswer, SpendItem};
use crate::fault::{Code, Fault};

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
    let asked = body.value;
    let add = Spent {
        cost_micros: asked.add.as_ref().map_or(Ok(0), money)?,
        tokens: asked.tokens.unwrap_or(0),
        wall_ms: asked.wall.as_deref().map_or(Ok(0), span)?,
    };
    let kind = InputKind::RaiseBudget { budget: asked.budget, add, reason: asked.reason };
    let went = app.submit(run, kind, caller.actor, once).await?;
    app.counters_have_answered(run, went.position).await;
    Ok(written(StatusCode::OK, went, app.view(run).await?))
}

/// The largest amount that is given as a number.
const AMOUNT_MAX: f64 = 1e12;

fn money(value: &serde_json::Value) -> Result<u64, Fault> {
    // A binary fraction cannot hold every amount: rounds to the nearest millionth.
    if let Some(number) = value.as_f64().filter(|number| (0.0..=AMOUNT_MAX).contains(number)) {
        return Ok((number * 1e6).round() as u64);
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fault = || {
        Fault::new(Code::Invalid, format!("add: “{text}” is no amount of money"))
            .hint("write 2.00, with at most six decimal places")
    };
    Money::parse(&text).map(|money| money.0).ok_or_else(fault)
}

fn span(text: &str) -> Result<u64, Fault> {
    let span = duration::parse(text).map_err(|error| Fault::new(Code::Invalid, format!("wall: {error}")))?;
    Ok(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SpendParams {
    by: Option<String>,
    run: Option<String>,
    pipeline: Option<String>,
    since: Option<String>,
    /// A time or a position: what was used up by then.
    at: Option<String>,
    min_position: Option<u64>,
}

/// `GET /spend`: what was used up, by run, step, role, model, day or pipeline.
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
) -> Result<Json<SpendAnswer>, Fault> {
    let word = params.by.as_deref().unwrap_or("run");
    let words = || SpendBy::ALL.map(|(word, _)| word).join(", ");
    let unknown = || Fault::new(Code::Invalid, format!("by: “{word}” is none of {}", words()));
    let by = SpendBy::parse(word).ok_or_else(unknown)?;
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
    let min = min_position(&app, params.min_position)?;
    let ask = move |spend: &SpendView<'_>| Ok((spend.by(by, &filter, at)?, spend.total(&filter, at)?));
    let (items, sum) = app.views().spend(min, ask).await?.value;
    let items = items.into_iter().map(|row| SpendItem::of(by, row)).collect();
    let total = SpendRow { group: "total".to_owned(), sum };
    let budgets = app.counters().await?;
    Ok(Json(SpendAnswer { by, items, total: SpendItem::of(SpendBy::Day, total), budgets }))
}
