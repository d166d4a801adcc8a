//! The runs that went on from one another's histories.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::fault::Fault;
use crate::http::app::App;
use crate::http::extract::{Params, Path};
use crate::http::parameters::moment;
use crate::node::Lineage;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct LineageParams {
    /// As it was then: a time in RFC 3339, or a position of the log.
    at: Option<String>,
}

/// `GET /runs/{id}/lineage`: the run that began by itself, and all forks, retries and restarts behind it.
///
/// At most 500 runs, each before those that went on from it.
#[utoipa::path(
    get,
    path = "/runs/{run}/lineage",
    tag = "history",
    params(LineageParams),
    responses((status = 200, description = "The tree of runs.", body = Lineage))
)]
pub(in crate::http) async fn lineage(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<LineageParams>,
) -> Result<Json<Lineage>, Fault> {
    let run = app.resolve(&run).await?;
    let at = moment(&app, params.at.as_deref()).await?;
    Ok(Json(app.lineage(run, at).await?))
}
