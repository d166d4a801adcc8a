//! The difference between two versions of a run, and between two runs.

use axum::Json;
use axum::extract::State;
use everfold_engine::id::Version;
use serde::Deserialize;

use super::app::App;
use super::extract::{Params, Path};
use super::parameters::moment;
use crate::fault::Fault;
use crate::node::{RunDiff, RunsDiff};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DiffParams {
    /// The earlier version; without it the first.
    from: Option<u64>,
    /// The later version; without it the newest.
    to: Option<u64>,
}

/// `GET /runs/{id}/diff`: what changed between two versions: of the run, of its steps and their values, and the
/// events between.
#[utoipa::path(
    get,
    path = "/runs/{run}/diff",
    tag = "history",
    params(DiffParams),
    responses((status = 200, description = "What changed.", body = RunDiff))
)]
pub(crate) async fn diff(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<DiffParams>,
) -> Result<Json<RunDiff>, Fault> {
    let run = app.resolve(&run).await?;
    let from = Version(params.from.unwrap_or(Version::FIRST.get()));
    Ok(Json(app.compared(run, from, params.to.map(Version)).await?))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunsDiffParams {
    /// Both as they were then: a time or a position.
    at: Option<String>,
}

/// `GET /runs/{id}/diff/{other}`: two runs, aligned by step and round: where they part first and why, what ran, its
/// attempts, outputs, verdicts, evidence, times and cost.
#[utoipa::path(
    get,
    path = "/runs/{run}/diff/{other}",
    tag = "history",
    params(RunsDiffParams),
    responses((status = 200, description = "What is different.", body = RunsDiff))
)]
pub(crate) async fn runs(
    State(app): State<App>,
    Path((run, other)): Path<(String, String)>,
    Params(params): Params<RunsDiffParams>,
) -> Result<Json<RunsDiff>, Fault> {
    let (run, other) = (app.resolve(&run).await?, app.resolve(&other).await?);
    let at = moment(&app, params.at.as_deref()).await?;
    Ok(Json(app.compared_runs(run, other, at).await?))
}
