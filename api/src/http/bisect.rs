//! The first event, and the first run, of which an expression is true.

use axum::Json;
use axum::extract::State;
use everfold_engine::clock;
use everfold_engine::id::Version;
use everfold_projections::{RUN_FIELDS, RunExpression, RunFilter};
use serde::Deserialize;

use super::app::App;
use super::extract::{Params, Path};
use super::filter::compiled;
use crate::fault::{Code, Fault};
use crate::node::{RunBisect, RunsBisect, RunsQuestion};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunBisectParams {
    /// An expression over the run's state: `steps.build.round > 1`, `cost > 2.0`, `status == 'blocked'`.
    #[param(required = true)]
    expression: Option<String>,
    /// The version that looking begins at, without it the first: what was true before is not known. `next` of an answer
    /// goes on.
    #[param(minimum = 1)]
    from: Option<u64>,
    /// Events that are looked at, 100,000 at most.
    #[param(minimum = 1)]
    limit: Option<u64>,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunsBisectParams {
    /// An expression over the state of each run.
    #[param(required = true)]
    expression: Option<String>,
    /// An expression over the fields of a row: which runs are looked at, as for `GET /runs`.
    filter: Option<String>,
    /// Only runs of this pipeline.
    pipeline: Option<String>,
    /// Where the answer before ended: its `next_cursor`.
    cursor: Option<String>,
    /// Runs that are looked at, 1,000 at most.
    #[param(minimum = 1)]
    limit: Option<u64>,
}

/// `GET /runs/{id}/bisect`: the first event of a run after which an expression is true.
///
/// Every version is looked at in order. The answer says whether it became false again, and how many events were looked at.
#[utoipa::path(
    get,
    path = "/runs/{run}/bisect",
    tag = "history",
    params(RunBisectParams),
    responses((status = 200, description = "The event, or that there is none.", body = RunBisect))
)]
pub(crate) async fn of_run(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<RunBisectParams>,
) -> Result<Json<RunBisect>, Fault> {
    let run = app.resolve(&run).await?;
    let from = Version(params.from.unwrap_or(Version::FIRST.get()));
    let limit = params.limit.unwrap_or(u64::MAX).max(1);
    Ok(Json(app.bisect(run, &asked(params.expression)?, from, limit).await?))
}

/// `GET /bisect`: the first run, by start, of which an expression is true, and what changed of the definition between it
/// and the run of its pipeline before.
#[utoipa::path(
    get,
    path = "/bisect",
    tag = "history",
    params(RunsBisectParams),
    responses((status = 200, description = "The run, or that there is none.", body = RunsBisect))
)]
pub(crate) async fn of_runs(
    State(app): State<App>,
    Params(params): Params<RunsBisectParams>,
) -> Result<Json<RunsBisect>, Fault> {
    let RunsBisectParams { expression, filter: filter_source, pipeline, cursor, limit } = params;
    let now = clock::now();
    let asked_of_rows = match filter_source.as_deref() {
        Some(source) => {
            let set_aside = app.set_aside().into_iter().collect();
            Some(RunExpression::new(compiled(source, &RUN_FIELDS, now)?, now, set_aside))
        }
        None => None,
    };
    let filter =
        RunFilter { pipeline: pipeline.into_iter().collect(), asked: asked_of_rows, ..RunFilter::default() };
    let limit = limit.unwrap_or(u64::MAX).max(1);
    let question = RunsQuestion { filter, source: asked(expression)?, filter_source, cursor, limit };
    Ok(Json(app.bisect_runs(question).await?))
}

fn asked(expression: Option<String>) -> Result<String, Fault> {
    expression.ok_or_else(|| {
        Fault::new(Code::Invalid, "expression is missing")
            .hint("expression=steps.build.round > 1 asks for the first event after which that is true")
    })
}
