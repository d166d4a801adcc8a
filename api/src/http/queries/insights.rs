//! `GET /insights`: what the history of runs shows, each with the query behind it.
//!
//! Law: the rows of an insight are the answer of its query, by the same tables and within the same bounds as `POST /query`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use everfold_engine::definition::similar;
use serde::Deserialize;

use super::insight_queries::{INSIGHTS, Insight, InsightScope};
use super::query::{QueryTurns, WITHIN, answered, query_moment, within};
use crate::access::Caller;
use crate::body::insights::{InsightAnswer, InsightsAnswer};
use crate::fault::{Code, Fault};
use crate::http::answer::read;
use crate::http::app::App;
use crate::http::extract::Params;
use crate::http::values::time;

/// Runs that insights are of, without `runs`, and the largest `runs`.
const RUNS: usize = 1_000;
const RUNS_MAX: usize = 10_000;
/// Cases from which on a gate or a rework is worth a row, and the largest `at_least`.
const AT_LEAST: usize = 3;
const AT_LEAST_MAX: usize = 10_000;
/// Rows of an insight without `limit`, and the largest `limit`.
const ROWS: usize = 20;
const ROWS_MAX: usize = 1_000;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InsightsParams {
    /// Names of insights, several separated by commas: `gates,reworks,flaky,time,cost`. All unless given.
    only: Option<String>,
    /// Of runs of this pipeline.
    pipeline: Option<String>,
    /// A time: of runs that began from then on.
    since: Option<String>,
    /// Of so many runs at most: the newest.
    #[param(minimum = 1, maximum = 10_000, default = 1_000)]
    runs: Option<usize>,
    /// Gates with fewer verdicts and routes with fewer reworks are left out.
    #[param(minimum = 1, maximum = 10_000, default = 3)]
    at_least: Option<usize>,
    /// Rows of each insight at most.
    #[param(minimum = 1, maximum = 1_000, default = 20)]
    limit: Option<usize>,
    /// A time or a position: what was known then.
    at: Option<String>,
}

/// `GET /insights`: gates that never failed, reworks that never helped, flaky steps, where time goes, cost per success; of
/// the newest runs, as of now or of any moment. Each has the query behind it, for `POST /query`.
#[utoipa::path(
    get,
    path = "/insights",
    tag = "queries",
    params(InsightsParams),
    responses((status = 200, description = "The insights.", body = InsightsAnswer))
)]
pub(crate) async fn insights(
    State(app): State<App>,
    Extension(turns): Extension<QueryTurns>,
    caller: Caller,
    Params(params): Params<InsightsParams>,
) -> Result<Response, Fault> {
    let wanted = wanted(params.only.as_deref())?;
    let rows = within("limit", params.limit, (ROWS, ROWS_MAX))?;
    let scope = InsightScope {
        pipeline: params.pipeline,
        since: params.since.as_deref().map(|since| time("since", since)).transpose()?,
        runs: within("runs", params.runs, (RUNS, RUNS_MAX))?,
        at_least: within("at_least", params.at_least, (AT_LEAST, AT_LEAST_MAX))?,
    };
    let _turn = turns.turn(&caller).await?;
    let moment = query_moment(&app, params.at.as_deref()).await?;
    let counts = answered(&moment, scope.runs_query(), 1, WITHIN).await?;
    let count = |column: usize| counts.rows.first()?.get(column)?.as_u64();
    let mut items = Vec::new();
    for insight in wanted {
        let sql = scope.query_of(insight);
        let answer = answered(&moment, sql.clone(), rows, WITHIN).await;
        let answer = answer.map_err(|fault| too_large(insight, fault))?;
        items.push(InsightAnswer {
            name: insight.name.to_owned(),
            title: insight.title.to_owned(),
            about: insight.about.to_owned(),
            none: answer.rows.is_empty().then(|| scope.none_of(insight)),
            sql,
            columns: answer.columns,
            rows: answer.rows,
            truncated: answer.truncated,
            reads: answer.reads,
        });
    }
    let (runs, ended) = (count(0).unwrap_or_default(), count(1).unwrap_or_default());
    let answer = InsightsAnswer { position: moment.position, now: moment.now, runs, ended, items };
    Ok(read(moment.position, answer))
}

/// The insights that are asked for, each once.
fn wanted(only: Option<&str>) -> Result<Vec<&'static Insight>, Fault> {
    let Some(only) = only else { return Ok(INSIGHTS.iter().collect()) };
    let names: Vec<&str> = only.split(',').map(str::trim).collect();
    let known = || INSIGHTS.iter().map(|insight| insight.name);
    if let Some(name) = names.iter().find(|name| known().all(|known| known != **name)) {
        let near = similar(name, known()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        return Err(Fault::new(Code::Invalid, format!("only: there is no insight “{name}”"))
            .hint(format!("{near}they are {}", known().collect::<Vec<_>>().join(", "))));
    }
    Ok(INSIGHTS.iter().filter(|insight| names.contains(&insight.name)).collect())
}

/// Says which insight takes too much, and how to ask for less.
fn too_large(insight: &Insight, fault: Fault) -> Fault {
    if fault.code != Code::QueryTooLarge {
        return fault;
    }
    Fault::new(Code::QueryTooLarge, format!("the insight `{}`: {}", insight.name, fault.message))
        .hint("ask for fewer runs (`runs`, `since`, `pipeline`), or for other insights (`only`)")
}
