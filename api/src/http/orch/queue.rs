//! The attempts of agents: how many wait, work and ended, and what holds them back.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use everfold_engine::id::RunId;
use everfold_projections::{AgentJobs, EndedJob, Judged, RunRow, StageFilter};
use everfold_workflows::agent::PreflightFinding;
use serde_json::Value;

use super::pending::{is_timed_alone, with_pending};
use super::scan::{ShownMoment, scan};
use super::staged_task::title_of;
use crate::body::orch::{
    AgentQueue, QueueCounts, QueueHeld, QueueJob, QueuePreflight, QueueResilience, StagedTask, StagedVerdict,
};
use crate::fault::Fault;
use crate::http::app::App;

/// What the breakers of agents are called: `agent.PROFILE`.
const OF_AGENTS: &str = "agent.";
/// The places that agents take.
const PLACES: &str = "processes";
/// Tasks that are looked at for what they wait for.
const HELD_MAX: usize = 100;

/// `GET /orch/queue`: the attempts of agents in pipelines with stages, as they are now.
#[utoipa::path(
    get,
    path = "/orch/queue",
    tag = "orch",
    responses((status = 200, description = "Counts, breakers, the last ten.", body = AgentQueue))
)]
pub(crate) async fn queue(State(app): State<App>) -> Result<Json<AgentQueue>, Fault> {
    let AgentJobs { queued, running, done, failed, recent } =
        app.views().stages(None, |view| view.jobs()).await?.value;
    let line = app.engine().line();
    let max_concurrency = line.places.iter().find(|place| place.name == PLACES).map(|place| place.size);
    let breakers: Vec<Value> = line
        .breakers
        .iter()
        .filter_map(|breaker| serde_json::to_value(breaker).ok())
        .filter(|breaker| breaker["service"].as_str().is_some_and(|name| name.starts_with(OF_AGENTS)))
        .collect();
    let stands = |state: &str| breakers.iter().any(|breaker| breaker["state"] == state);
    let breaker = match () {
        () if stands("open") => "open",
        () if stands("half_open") => "half_open",
        () => "closed",
    };
    let preflights: Vec<QueuePreflight> = app.preflights().all().into_iter().map(preflight).collect();
    let preflight = if preflights.iter().all(|found| found.ok) { "ok" } else { "failing" };
    Ok(Json(AgentQueue {
        counts: QueueCounts { queued, running, done, failed },
        max_concurrency,
        resilience: QueueResilience { breaker, breakers, preflight, preflights },
        held: held(&app).await?,
        recent: jobs(&app, recent).await?,
    }))
}

/// Open tasks that wait for what a gate looks at.
async fn held(app: &App) -> Result<Vec<QueueHeld>, Fault> {
    let moment = ShownMoment::of(app, None, None).await?;
    let open = StageFilter { is_open: Some(true), ..StageFilter::default() };
    let fits = |task: &StagedTask| Ok(if is_timed_alone(task) { Judged::Fits } else { Judged::DoesNotFit });
    let mut found = scan(app, open, moment, (None, HELD_MAX), fits).await?;
    with_pending(app, moment, &mut found.tasks).await?;
    let held = |task: StagedTask| {
        let StagedTask { run, item, title, next_at, pending, .. } = task;
        let StagedVerdict { step, gate, reason, .. } = pending?;
        Some(QueueHeld { run, item, title, step, gate, reason, next_at })
    };
    Ok(found.tasks.into_iter().filter_map(held).collect())
}

fn preflight(found: PreflightFinding) -> QueuePreflight {
    let PreflightFinding { profile, ok, code, reason, hint, since, looked_at, waiting } = found;
    QueuePreflight { profile, ok, code, reason, hint, since, looked_at, waiting }
}

/// Ended jobs with what their runs are about.
async fn jobs(app: &App, recent: Vec<EndedJob>) -> Result<Vec<QueueJob>, Fault> {
    let ids: Vec<RunId> = recent.iter().map(|job| job.run).collect();
    let rows = app.runs(None, move |runs| {
        let mut rows: HashMap<RunId, RunRow> = HashMap::new();
        for run in ids {
            rows.extend(runs.get(run, None)?.map(|row| (run, row)));
        }
        Ok(rows)
    });
    let rows = rows.await?;
    let job = |job: EndedJob| {
        let row = rows.get(&job.run);
        let label = |key: &str| row.and_then(|row| row.shown.labels.get(key).cloned());
        let EndedJob { run, id, failed, since, ended_at } = job;
        QueueJob {
            id: format!("{}:{}:{}.{}", run.short(), id.path, id.round, id.attempt),
            run,
            item: label("item"),
            title: row.and_then(title_of),
            repo: label("repo"),
            agent: id.path.to_string(),
            status: if failed.is_some() { "failed" } else { "done" },
            failure: failed,
            since,
            ended_at,
        }
    };
    Ok(recent.into_iter().map(job).collect())
}
