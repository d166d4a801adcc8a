//! What tasks cost, by project, agent and work item.

use axum::extract::State;
use axum::response::Response;
use everfold_projections::SpendFilter;
use serde::Deserialize;

use crate::body::orch::TaskCosts;
use crate::fault::Fault;
use crate::http::answer::read;
use crate::http::app::App;
use crate::http::extract::Params;
use crate::http::parameters::{limit, min_position, moment};
use crate::http::spend_groups::SpendGroups;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CostParams {
    /// Of this pipeline alone.
    pipeline: Option<String>,
    /// A time or a position: what was used up by then.
    at: Option<String>,
    /// So many groups of each kind at most.
    limit: Option<usize>,
    min_position: Option<u64>,
}

/// `GET /orch/costs`: what was used up by project, agent and work item, the largest first.
#[utoipa::path(
    get,
    path = "/orch/costs",
    tag = "orch",
    params(CostParams),
    responses((status = 200, description = "What was used up.", body = TaskCosts))
)]
pub(crate) async fn costs(
    State(app): State<App>,
    Params(params): Params<CostParams>,
) -> Result<Response, Fault> {
    let limit = limit(params.limit)?;
    let at = moment(&app, params.at.as_deref()).await?;
    let min = min_position(&app, params.min_position)?;
    let filter = SpendFilter { pipeline: params.pipeline, ..SpendFilter::default() };
    let of = async |by: &str, at| {
        let (mut items, total, position) = SpendGroups::read(by)?.of(&app, filter.clone(), at, min).await?;
        items.truncate(limit);
        Ok::<_, Fault>((items, total, position))
    };
    let (projects, total, position) = of("label:project", at).await?;
    // What came meanwhile is in none of them.
    let at = at.or(Some(position));
    let (agents, _, _) = of("role", at).await?;
    let (tasks, _, _) = of("label:item", at).await?;
    Ok(read(position, TaskCosts { projects, agents, tasks, total }))
}
