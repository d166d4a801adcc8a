//! One task with all that is known of it.

use axum::extract::State;
use axum::response::Response;
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{self, RunEvent};
use everfold_engine::expr::ValueRef;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::json::Payload;
use everfold_engine::state::VerdictNote;
use everfold_projections::{LiveMessage, RunRow, SpendBy, SpendFilter, SpendRow};
use serde::Deserialize;

use super::find::find;
use super::pending::with_pending;
use super::scan::{ShownMoment, former_runs, joined};
use super::staged_task::staged_task;
use crate::body::orch::{StagedMessage, StagedStep, StagedTaskDetail, StagedVerdict};
use crate::body::spend::SpendItem;
use crate::fault::{Code, Fault};
use crate::http::answer::read;
use crate::http::app::App;
use crate::http::extract::{Params, Path};
use crate::http::parameters::{min_position, moment};
use crate::view::RunView;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OneTaskParams {
    /// A time or a position.
    at: Option<String>,
    min_position: Option<u64>,
}

/// `GET /orch/tasks/{item}`: one task, by its work item (`ORCH-005` and `ET-005` find it by the number, `5` too) or its run.
#[utoipa::path(
    get,
    path = "/orch/tasks/{item}",
    tag = "orch",
    params(OneTaskParams),
    responses((status = 200, description = "The task.", body = StagedTaskDetail))
)]
pub(crate) async fn task(
    State(app): State<App>,
    Path(item): Path<String>,
    Params(params): Params<OneTaskParams>,
) -> Result<Response, Fault> {
    let at = moment(&app, params.at.as_deref()).await?;
    let moment = ShownMoment::of(&app, at, min_position(&app, params.min_position)?).await?;
    let run = find(&app, &item, at).await?;
    let answer = app.views().stages(moment.min, move |view| view.get(run, at)).await?;
    let shown_at = at.unwrap_or(answer.position);
    let row = answer.value.ok_or_else(|| {
        Fault::new(Code::NoRun, format!("run {} does not go along stages", run.short()))
            .hint("steps of its pipeline name none, or it had not begun then")
    })?;
    let (stages, live) = (row.layout.stages.clone(), row.standing.live.clone());
    let both = joined(&app, vec![row], shown_at).await?.into_iter().next();
    let (row, shown) = both.ok_or_else(|| Fault::new(Code::NoRun, format!("there is no run {run}")))?;
    let version = shown.version;
    let (view, gates) = of_state(&app, &shown, at).await?;
    let aside = app.set_aside().into_iter().find(|(other, _)| *other == run).map(|(_, why)| why);
    let mut task = [staged_task(&row, shown, aside, &moment.held(&app), moment.now)];
    with_pending(&app, moment, &mut task).await?;
    let [task] = task;
    let message = match live {
        Some(live) if live.version <= version => message(&app, run, &live).await?,
        _none => None,
    };
    let detail = StagedTaskDetail {
        position: shown_at.min(answer.position),
        task,
        stages,
        steps: view.map(steps).unwrap_or_default(),
        gates,
        agents: agents(&app, run, shown_at).await?,
        message,
    };
    Ok(read(answer.position, detail))
}

/// The view of a run with what its gates said. Of one that is set aside neither can be had.
async fn of_state(
    app: &App,
    row: &RunRow,
    at: Option<Position>,
) -> Result<(Option<RunView>, Vec<StagedVerdict>), Fault> {
    if app.set_aside().iter().any(|(other, _)| *other == row.id) {
        return Ok((None, Vec::new()));
    }
    if at.is_none() {
        let gates = app.engine().with_state(row.id, |state| state.verdicts().map(verdict).collect()).await?;
        return Ok((Some(app.view(row.id).await?), gates));
    }
    let state = app.engine().state_at(row.id, row.version).await?;
    let gates = state.verdicts().map(verdict).collect();
    Ok((Some(app.view_at(row.id, row.version).await?), gates))
}

fn verdict(note: &VerdictNote) -> StagedVerdict {
    StagedVerdict {
        step: note.step.to_string(),
        gate: note.gate.clone(),
        round: note.round.get(),
        verdict: note.verdict.as_str().to_owned(),
        reason: note.reason.clone(),
        at: note.at,
    }
}

fn steps(view: RunView) -> Vec<StagedStep> {
    let status = |status| serde_json::to_value(status).ok().and_then(|word| word.as_str().map(str::to_owned));
    let step = |step: crate::view::StepView| StagedStep {
        step: step.id,
        stage: step.stage,
        kind: step.kind,
        status: status(step.status).unwrap_or_default(),
        round: step.round,
        attempt: step.attempt,
        started_at: step.started_at,
        ended_at: step.ended_at,
        usage: step.usage,
    };
    view.steps.into_iter().map(step).collect()
}

/// What each agent of a run used up, in the runs that it continues, too.
async fn agents(app: &App, run: RunId, at: Position) -> Result<Vec<SpendItem>, Fault> {
    let of_task = app.runs(Some(at), move |runs| {
        let row = runs.get(run, Some(at))?;
        let former = row.map(|row| former_runs(runs, &row, at)).transpose()?.unwrap_or_default();
        Ok(std::iter::once(run).chain(former.into_iter().map(|row| row.id)).collect::<Vec<_>>())
    });
    let of_task = of_task.await?;
    let rows = app.views().spend(Some(at), move |spend| {
        let mut rows: Vec<SpendRow> = Vec::new();
        for run in of_task {
            let filter = SpendFilter { run: Some(run), ..SpendFilter::default() };
            let mut of_run = spend.by(SpendBy::Role, &filter, Some(at))?;
            // A history that was imported has no roles: its steps are called as the roles are.
            if of_run.iter().all(|row| row.group.is_empty()) {
                of_run = spend.by(SpendBy::Step, &filter, Some(at))?;
                for row in &mut of_run {
                    row.group = row.group.rsplit('/').next().unwrap_or_default().to_owned();
                }
            }
            for row in of_run {
                match rows.iter_mut().find(|known| known.group == row.group) {
                    Some(known) => known.sum.add(&row.sum),
                    None => rows.push(row),
                }
            }
        }
        Ok(rows)
    });
    Ok(rows.await?.value.into_iter().map(|row| SpendItem::of(SpendBy::Role, row)).collect())
}

/// The text of a message, as the event says that queued it.
async fn message(app: &App, run: RunId, live: &LiveMessage) -> Result<Option<StagedMessage>, Fault> {
    let events = app.store().read(&StreamId::run(run), live.version, 1).await?;
    let Some(envelope) = events.first() else { return Ok(None) };
    let header = &envelope.header;
    let Ok(RunEvent::NoticeQueued(queued)) = event::decode(header.kind, header.schema, &envelope.payload)
    else {
        return Ok(None);
    };
    let with = match &queued.with {
        Payload::Inline(text) => text.value(),
        Payload::Blob(_large) => {
            let (hash, size_bytes) = (queued.with.hash(), queued.with.size_bytes());
            app.engine().value(run, ValueRef { version: live.version, hash, size_bytes }).await?.value()
        }
    };
    let Some(text) = with["with"]["text"].as_str() else { return Ok(None) };
    let Version(version) = live.version;
    Ok(Some(StagedMessage { notice: queued.notice, version, text: text.to_owned() }))
}
