//! The steps of a pipeline as a graph with places, for clients that draw it.

use axum::Json;
use axum::extract::State;
use everfold_engine::definition::Definition;
use serde::Deserialize;

use super::app::App;
use super::extract::{Params, Path};
use super::parameters::moment;
use super::state::begun_by;
use crate::fault::{Code, Fault};
use crate::graph::{GraphDetail, GraphView, drawing};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GraphParams {
    /// How much stands in a box: `full` or `names`.
    #[param(inline)]
    detail: GraphDetail,
    /// Steps that are left out, by commas; needs and routes go by way of them.
    without: Option<String>,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunGraphParams {
    /// How much stands in a box: `full` or `names`.
    #[param(inline)]
    detail: GraphDetail,
    /// Steps that are left out, by commas; needs and routes go by way of them.
    without: Option<String>,
    /// A time or a position at which the run had begun: its definition never changes.
    at: Option<String>,
}

/// `GET /runs/{id}/graph`: the steps of the definition that the run is pinned to, with places.
#[utoipa::path(
    get,
    path = "/runs/{run}/graph",
    tag = "history",
    params(RunGraphParams),
    responses((status = 200, description = "The boxes and arrows.", body = GraphView))
)]
pub(crate) async fn of_run(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<RunGraphParams>,
) -> Result<Json<GraphView>, Fault> {
    let run = app.resolve(&run).await?;
    begun_by(&app, run, moment(&app, params.at.as_deref()).await?).await?;
    Ok(Json(drawn(&*app.definition(run).await?, params.detail, params.without.as_deref())?))
}

/// `GET /pipelines/{name}/graph`: the steps of a pipeline, with places.
#[utoipa::path(
    get,
    path = "/pipelines/{name}/graph",
    tag = "pipelines",
    params(GraphParams),
    responses((status = 200, description = "The boxes and arrows.", body = GraphView))
)]
pub(crate) async fn of_pipeline(
    State(app): State<App>,
    Path(name): Path<String>,
    Params(params): Params<GraphParams>,
) -> Result<Json<GraphView>, Fault> {
    Ok(Json(drawn(&*app.pipeline(&name).await?, params.detail, params.without.as_deref())?))
}

/// The drawing of a definition without some of its steps.
fn drawn(definition: &Definition, detail: GraphDetail, without: Option<&str>) -> Result<GraphView, Fault> {
    let folded: Vec<String> = without.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect();
    let known = |name: &&String| {
        definition.steps.iter().chain(&definition.on_finish).any(|step| step.id.as_str() == name.as_str())
    };
    if let Some(other) = folded.iter().find(|name| !known(name)) {
        return Err(Fault::new(
            Code::NoStep,
            format!("without: “{other}” is no step of {}", definition.name),
        ));
    }
    Ok(drawing(definition, detail, &folded))
}
