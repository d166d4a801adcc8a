//! Budgets that runs share: the list, and the limits that each has of its own.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::driver::By;
use everfold_engine::store::DedupKeep;
use serde::Deserialize;

use super::answer::{Page, written};
use super::app::App;
use super::extract::{JsonBody, Params, Path, once};
use crate::access::Caller;
use crate::body::budget::{SharedBudgetBody, SharedBudgetQuery, SharedBudgetView};
use crate::fault::Fault;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BudgetListParams {
    /// Only those of this scope.
    scope: Option<String>,
}

/// `GET /budgets`: the budgets that runs share.
#[utoipa::path(
    get,
    path = "/budgets",
    tag = "spending",
    params(BudgetListParams),
    responses((status = 200, description = "All shared budgets.", body = Page<SharedBudgetView>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<BudgetListParams>,
) -> Result<Json<Page<SharedBudgetView>>, Fault> {
    let items = app.shared_budgets(params.scope.as_deref()).await?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// The actor of a write with its idempotency key.
fn by(headers: &HeaderMap, caller: Caller, scope: &str, verb: &str, body: &[u8]) -> Result<By, Fault> {
    let about = format!("{verb} /budgets/{scope}");
    let dedup = once(headers, &caller, &about, body, DedupKeep::Week)?.dedup;
    Ok(By { actor: caller.actor, dedup })
}

/// `PUT /budgets/{scope}`: gives a shared budget limits of its own. What waited for it goes on where it has room now.
#[utoipa::path(
    put,
    path = "/budgets/{scope}",
    tag = "spending",
    request_body = SharedBudgetBody,
    responses((status = 200, description = "The budget.", body = SharedBudgetView))
)]
pub(crate) async fn set(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(scope): Path<String>,
    body: JsonBody<SharedBudgetBody>,
) -> Result<Response, Fault> {
    let by = by(&headers, caller, &scope, "PUT", &body.bytes)?;
    let (went, view) = app.set_shared_budget(scope, body.value, by).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `DELETE /budgets/{scope}`: takes the limits of its own from a shared budget.
#[utoipa::path(
    delete,
    path = "/budgets/{scope}",
    tag = "spending",
    params(SharedBudgetQuery),
    responses((status = 200, description = "The budget.", body = SharedBudgetView))
)]
pub(crate) async fn unset(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(scope): Path<String>,
    Params(params): Params<SharedBudgetQuery>,
) -> Result<Response, Fault> {
    let SharedBudgetQuery { per, zone, reason } = params;
    let per = per.unwrap_or_default();
    let about = format!("DELETE {per:?} {}", zone.as_deref().unwrap_or_default());
    let by = by(&headers, caller, &scope, &about, b"")?;
    let (went, view) = app.unset_shared_budget((scope, per, zone), reason, by).await?;
    Ok(written(StatusCode::OK, went, view))
}
