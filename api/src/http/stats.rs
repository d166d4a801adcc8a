//! How many runs there are, and figures of them by the fields of their rows.

use axum::extract::State;
use axum::response::Response;
use everfold_engine::duration;
use everfold_engine::id::Position;
use everfold_projections::{
    GroupingError, RUN_FIELDS, RunCounts, RunExpression, RunFilter, RunGrouping, RunsView,
};
use serde::{Deserialize, Serialize};

use super::answer::read;
use super::app::App;
use super::extract::Params;
use super::filter::{compiled, moment_of};
use super::parameters::{min_position, moment};
use crate::body::stats::GroupedAnswer;
use crate::fault::{Code, Fault};
use crate::schema;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StatsParams {
    /// Fields of rows that runs are grouped by, several separated by commas: `pipeline,labels.team`.
    by: Option<String>,
    /// How long the stretches of time are that runs are grouped by the start of: `1d`.
    bucket: Option<String>,
    /// An expression over the fields of a row: of the runs that it is true of.
    filter: Option<String>,
    /// A time or a position.
    at: Option<String>,
    min_position: Option<u64>,
}

#[derive(Debug, Serialize)]
struct StatsAnswer {
    position: Position,
    #[serde(flatten)]
    runs: RunCounts,
    /// What people were asked at that position.
    open_tasks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped: Option<GroupedAnswer>,
}

fn refused(error: GroupingError) -> Fault {
    match error {
        GroupingError::Refused { message, hint } => Fault::new(Code::Invalid, message).hint(hint),
        GroupingError::Read(error) => Fault::new(Code::StoreIndex, error.to_string()),
    }
}

/// How many tasks were open at a position; the model may know more by now.
async fn open_tasks(app: &App, position: Position) -> Result<u64, Fault> {
    let newest = app.views().inbox(Some(position), |inbox| inbox.open_count(None)).await?;
    if newest.position == position {
        return Ok(newest.value);
    }
    app.inbox(Some(position), move |inbox| inbox.open_count(Some(position))).await
}

/// `GET /stats`: how many runs there are in each status, and what people are asked; with `by`, `bucket` or `filter` also
/// how many fit, how they ended, how long they took and what they cost, by group.
#[utoipa::path(
    get,
    path = "/stats",
    tag = "runs",
    params(StatsParams),
    responses((status = 200, description = "The counts.", body = schema::StatsSchema))
)]
pub(crate) async fn stats(
    State(app): State<App>,
    Params(params): Params<StatsParams>,
) -> Result<Response, Fault> {
    let at = moment(&app, params.at.as_deref()).await?;
    let min = min_position(&app, params.min_position)?;
    let answer = app.views().runs(min, move |runs| runs.counts(at)).await?;
    let position = at.map_or(answer.position, |at| at.min(answer.position));
    let open_tasks = open_tasks(&app, position).await?;
    let is_grouped = params.by.is_some() || params.bucket.is_some() || params.filter.is_some();
    let grouped = if is_grouped { Some(grouped(&app, &params, position).await?) } else { None };
    Ok(read(answer.position, StatsAnswer { position, runs: answer.value, open_tasks, grouped }))
}

async fn grouped(app: &App, params: &StatsParams, position: Position) -> Result<GroupedAnswer, Fault> {
    let names: Vec<&str> = params.by.iter().flat_map(|names| names.split(',')).map(str::trim).collect();
    let bucket = params.bucket.as_deref().map(duration::parse).transpose();
    let bucket = bucket.map_err(|error| Fault::new(Code::Invalid, format!("bucket: {error}")))?;
    let grouping = RunGrouping::parse(&names, bucket).map_err(refused)?;
    let as_of = params.at.as_ref().map(|_| position);
    let now = moment_of(app, params.at.as_deref(), as_of).await?;
    let mut filter = RunFilter::default();
    if let Some(source) = &params.filter {
        let set_aside = app.set_aside().into_iter().collect();
        let asked = RunExpression::new(compiled(source, &RUN_FIELDS, now)?, now, set_aside);
        filter.asked = Some(asked.within(grouping.rows_max()));
    }
    let by = grouping.clone();
    let look = move |runs: &RunsView<'_>| Ok(runs.grouped(&filter, &by, Some(position), now));
    let found = app.views().runs(Some(position), look).await?.value.map_err(refused)?;
    Ok(GroupedAnswer::of(&grouping, bucket.map(duration::format), found))
}
