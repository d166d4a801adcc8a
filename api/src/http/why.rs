//! Why a run is where it is, and why nothing happens.

use axum::Json;
use axum::extract::State;
use everfold_engine::id::{StepId, Version};
use serde::Deserialize;

use super::app::App;
use super::extract::{Params, Path};
use super::parameters::moment;
use crate::body::why::{FolderWhy, RunWhy};
use crate::fault::Fault;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WhyParams {
    /// Only why this step is where it is.
    step: Option<String>,
    #[param(minimum = 1)]
    version: Option<u64>,
    /// A time in RFC 3339, or a position of the log; with `version` the earlier of the two.
    at: Option<String>,
}

/// `GET /runs/{id}/why`: why a run, or a step of it, is where it is, now or at a moment.
///
/// Each cause has its own causes in `because`, also those of other runs: the holder of a slot, a child. `evidence` names
/// the event that shows it. At a past moment nothing is said of the engine of then: what stood in line is not recorded.
#[utoipa::path(
    get,
    path = "/runs/{run}/why",
    tag = "runs",
    params(WhyParams),
    responses((status = 200, description = "The causes, what holds it most first.", body = RunWhy))
)]
pub(crate) async fn of_run(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<WhyParams>,
) -> Result<Json<RunWhy>, Fault> {
    let run = app.resolve(&run).await?;
    let at = match moment(&app, params.at.as_deref()).await? {
        Some(position) => Some(app.version_before(run, position).await?),
        None => None,
    };
    let version = at.into_iter().chain(params.version.map(Version)).min();
    let step = params.step.as_deref().map(StepId::new);
    Ok(Json(app.why(run, step.as_ref(), version).await?))
}

/// `GET /why`: why nothing happens: what holds up the runs of the folder.
///
/// Pauses, a full disk, runs that no engine goes on with, slots, resources, rates, breakers, budgets, functions that no
/// worker offers, and the runs that wait, by what they wait for.
#[utoipa::path(
    get,
    path = "/why",
    tag = "runs",
    responses((status = 200, description = "The causes; none where nothing is held up.", body = FolderWhy))
)]
pub(crate) async fn of_folder(State(app): State<App>) -> Result<Json<FolderWhy>, Fault> {
    Ok(Json(app.why_nothing().await?))
}
