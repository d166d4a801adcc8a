//! Runs that their own pipelines limit: whom a budget holds, and how full the others are.
//!
//! Law: of the runs that go on the newest are looked at, a bounded number; the answer says how many there are, so that a
//! list that is cut is never taken for all of them.

use std::cmp::Reverse;

use axum::extract::State;
use axum::response::Response;
use everfold_engine::clock;
use everfold_engine::event::Measure;
use everfold_engine::id::RunId;
use everfold_engine::state::{BudgetView, RunState, RunStatus};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::answer::read;
use super::app::App;
use super::extract::Params;
use super::parameters::{limit, min_position};
use crate::fault::Fault;
use crate::schema;
use crate::view::{BudgetStatus, budget_view};

/// Runs that one answer looks at.
const RUNS_MAX: usize = 500;
/// Runs that are looked at side by side: each may have to be loaded.
const SIDE_BY_SIDE: usize = 16;

/// A run that goes on, with the budgets of its own.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = LimitedRun)]
pub(crate) struct LimitedRun {
    #[schema(value_type = schema::RunIdSchema)]
    run: RunId,
    short_id: String,
    pipeline: String,
    title: Option<String>,
    #[schema(value_type = schema::RunStatusSchema)]
    status: RunStatus,
    /// Whether one of them is used up, so that paid work waits.
    held: bool,
    /// How much of the fullest one is spent, in percent.
    full_percent: u64,
    budgets: Vec<BudgetStatus>,
}

/// Runs that their own pipelines limit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = LimitedRuns)]
pub(crate) struct LimitedRuns {
    items: Vec<LimitedRun>,
    /// How many runs go on.
    open: usize,
    /// How many of them were looked at, the newest.
    looked_at: usize,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitedRunsParams {
    limit: Option<usize>,
    min_position: Option<u64>,
}

/// `GET /spend/runs`: runs that go on and that budgets of their own pipelines limit: held ones first, then the fullest.
#[utoipa::path(
    get,
    path = "/spend/runs",
    tag = "spending",
    params(LimitedRunsParams),
    responses((status = 200, description = "The runs with their budgets, held ones first, then the fullest.", body = LimitedRuns))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<LimitedRunsParams>,
) -> Result<Response, Fault> {
    let limit = limit(params.limit)?;
    let min = min_position(&app, params.min_position)?;
    let answer = app.views().runs(min, |runs| runs.open(None)).await?;
    let open = answer.value;
    let looked_at: Vec<RunId> = open.iter().rev().take(RUNS_MAX).copied().collect();
    let engine = app.engine();
    // One that cannot be read, or has gone meanwhile, is no reason to say nothing of the others.
    let read_runs = stream::iter(looked_at.iter().copied())
        .map(|run| async move { engine.with_state(run, limited).await.ok().flatten() })
        .buffered(SIDE_BY_SIDE);
    let mut items: Vec<LimitedRun> = read_runs.filter_map(std::future::ready).collect().await;
    items.sort_by_key(|run| (Reverse(run.held), Reverse(run.full_percent)));
    items.truncate(limit);
    Ok(read(answer.position, LimitedRuns { items, open: open.len(), looked_at: looked_at.len() }))
}

/// A run with the budgets that are its own; none: it has none with a limit, or is over.
fn limited(state: &RunState) -> Option<LimitedRun> {
    let own: Vec<BudgetView<'_>> =
        state.budgets(clock::now()).filter(|budget| budget.terms.scope.is_none()).collect();
    let full_percent = own.iter().filter_map(full_percent).max()?;
    let run = state.run().filter(|_| !state.is_ended())?;
    Some(LimitedRun {
        run,
        short_id: run.short(),
        pipeline: state.pipeline().to_owned(),
        title: state.title().map(str::to_owned),
        status: state.status(),
        held: own.iter().any(|budget| budget.over.is_some()),
        full_percent,
        budgets: own.iter().map(budget_view).collect(),
    })
}

/// The fullest of its measures that have a limit; one of nothing is full.
fn full_percent(budget: &BudgetView<'_>) -> Option<u64> {
    let percent = |measure: Measure| {
        let spent = u128::from(measure.of(budget.used.spent)) * 100;
        let limit = budget.limit(measure)?;
        let percent = spent.checked_div(u128::from(limit)).unwrap_or(100);
        Some(u64::try_from(percent).unwrap_or(u64::MAX))
    };
    Measure::ALL.into_iter().filter_map(percent).max()
}
