//! The list of tasks.

use axum::extract::State;
use axum::response::Response;
use everfold_engine::id::Position;
use everfold_engine::state::RunStatus;
use everfold_projections::{Judged, RowScan, ScanReport, StageFilter};
use serde::Deserialize;
use serde_json::Value;

use super::pending::with_pending;
use super::scan::{FoundTasks, ShownMoment, scan};
use crate::body::filter::FilterAnswer;
use crate::body::orch::{StagedTask, StagedTasks};
use crate::fault::{Code, Fault};
use crate::http::answer::read;
use crate::http::app::App;
use crate::http::extract::Params;
use crate::http::list_fields::STAGED_TASK_FIELDS;
use crate::http::list_scan::{expression, judged, with_expression};
use crate::http::parameters::{limit, min_position, moment};
use crate::node::CursorOf;

/// The word for tasks that have not ended.
const OPEN: &str = "open";

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StagedTaskParams {
    /// In this stage; of tasks that ended the last.
    stage: Option<String>,
    /// With this label `project`.
    project: Option<String>,
    /// WantedStatuses of runs, several by commas; `open`: those that have not ended.
    status: Option<String>,
    /// Only tasks that are stuck (`true`), or that are not.
    stuck: Option<bool>,
    /// Only tasks that wait for people (`true`), or that do not.
    waiting: Option<bool>,
    /// A time or a position.
    at: Option<String>,
    /// An expression over the fields of a row: `stuck && cost > 5.0 && rounds.exists(r, r.used > 2)`.
    filter: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

/// `GET /orch/tasks`: runs of pipelines with stages, where each stands; newest first.
#[utoipa::path(
    get,
    path = "/orch/tasks",
    tag = "orch",
    params(StagedTaskParams),
    responses((status = 200, description = "The tasks.", body = StagedTasks))
)]
pub(crate) async fn tasks(
    State(app): State<App>,
    Params(params): Params<StagedTaskParams>,
) -> Result<Response, Fault> {
    let statuses = WantedStatuses::read(params.status.as_deref())?;
    let [stuck, waiting] = [params.stuck, params.waiting].map(|wanted| wanted.map(|it| it.to_string()));
    let filters = [&params.stage, &params.project, &params.status, &stuck, &waiting].map(Option::as_deref);
    let paged = CursorOf::StagedTasks.with(&with_expression(&filters, params.filter.as_deref()));
    let place = (app.in_list(paged, params.cursor.as_deref())?, limit(params.limit)?);
    let at = moment(&app, params.at.as_deref()).await?;
    let moment = ShownMoment::of(&app, at, min_position(&app, params.min_position)?).await?;
    // What is stuck or waited for goes on.
    let is_open = statuses.is_open().or((params.stuck.or(params.waiting) == Some(true)).then_some(true));
    let filter = StageFilter { is_open, stage: params.stage, item: None };
    let times = (params.at.as_deref(), at);
    let asked_by = expression(&app, params.filter.as_deref(), &STAGED_TASK_FIELDS, times).await?;
    let mut by_expression = asked_by.as_ref().map(|filter| RowScan::begin(filter, usize::MAX, Vec::new()));
    let fits = |task: &StagedTask| {
        let fits = statuses.fit(task)
            && params.project.as_ref().is_none_or(|project| task.project.as_ref() == Some(project))
            && params.stuck.is_none_or(|stuck| task.stuck == stuck)
            && params.waiting.is_none_or(|waiting| task.waits.is_empty() != waiting);
        match &mut by_expression {
            _ if !fits => Ok(Judged::DoesNotFit),
            Some(scan) => judged(scan, task),
            None => Ok(Judged::Fits),
        }
    };
    let FoundTasks { position, stages, mut tasks, next } = scan(&app, filter, moment, place, fits).await?;
    with_pending(&app, moment, &mut tasks).await?;
    let next_cursor = app.list_cursor(paged, next);
    let of: Position = at.map_or(position, |at| at.min(position));
    let filter = by_expression.map(|scan| {
        let more = tasks.len() < place.1 && next_cursor.is_some();
        FilterAnswer::from(ScanReport { more, ..scan.report() })
    });
    Ok(read(position, StagedTasks { position: of, stages, items: tasks, next_cursor, filter }))
}

/// The statuses that are wanted; none: any.
#[derive(Debug, Default)]
pub(super) struct WantedStatuses {
    wanted: Vec<RunStatus>,
    /// Whatever has not ended.
    open: bool,
}

impl WantedStatuses {
    pub(super) fn read(text: Option<&str>) -> Result<Self, Fault> {
        let mut statuses = Self::default();
        for word in text.into_iter().flat_map(|text| text.split(',')) {
            if word == OPEN {
                statuses.open = true;
                continue;
            }
            let status = serde_json::from_value(Value::String(word.to_owned())).map_err(|_| {
                Fault::new(Code::Invalid, format!("“{word}” is no status")).hint(
                    "open, queued, running, waiting, paused, blocked, stopping, succeeded, failed, cancelled",
                )
            });
            statuses.wanted.push(status?);
        }
        Ok(statuses)
    }

    /// Whether only tasks that go on are wanted, or only ended ones.
    fn is_open(&self) -> Option<bool> {
        if !self.open && self.wanted.is_empty() {
            return None;
        }
        let is_open = self.wanted.iter().all(|status| !status.is_ended());
        let is_ended = !self.open && self.wanted.iter().all(|status| status.is_ended());
        (is_open || is_ended).then_some(is_open)
    }

    fn fit(&self, task: &StagedTask) -> bool {
        let is_any = !self.open && self.wanted.is_empty();
        is_any || (self.open && !task.status.is_ended()) || self.wanted.contains(&task.status)
    }
}
