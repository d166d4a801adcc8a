//! The difference between two versions of a run.

use axum::Json;
use axum::extract::State;
use everfold_engine::id::Version;
use serde::Deserialize;

use super::app::App;
use super::extract::{Params, Path};
use crate::fault::Fault;
use crate::node::RunDiff;

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
