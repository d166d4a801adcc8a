//! Attempts of all runs.
//!
//! Law: the list goes through the runs that fit, the newest first, and through the attempts of each in the order they were
//! scheduled; those of a run are what its timeline has. A run's events are read when it is its turn, and one answer reads so
//! many at most, but for those of the run that reaches this bound.

use axum::extract::State;
use axum::response::Response;
use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use everfold_projections::{AttemptRow, RunFilter, RunOrder, RunRow, attempts};
use serde::{Deserialize, Serialize};

use super::answer::read;
use super::app::App;
use super::extract::Params;
use super::filter::FilteredPage;
use super::list_fields::ATTEMPT_FIELDS;
use super::list_scan::{ListScan, expression, with_expression};
use super::parameters::{limit, min_position, moment};
use super::values::time;
use crate::fault::Fault;
use crate::node::CursorOf;
use crate::schema;

/// Events that one answer is made of, but for those of the run that reaches this bound.
const EVENTS_MAX: usize = 200_000;
/// Attempts of a run that a cursor's number has room for.
const OF_RUN: u64 = 1 << 16;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AttemptListParams {
    pipeline: Option<String>,
    /// A time: of runs that began later.
    started_after: Option<String>,
    /// An expression over the fields of a row: `step == 'build' && worked_ms > 60000`.
    filter: Option<String>,
    /// A time or a position: what was known then.
    at: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

/// An attempt with its run.
#[derive(Debug, Serialize)]
pub(crate) struct RunAttempt {
    run: RunId,
    short_id: String,
    pipeline: String,
    #[serde(flatten)]
    row: AttemptRow,
    /// From its schedule to its begin.
    waited_ms: Option<u64>,
    /// From its begin to its end.
    worked_ms: Option<u64>,
}

impl RunAttempt {
    fn of(run: &RunRow, row: AttemptRow) -> Self {
        let span = |from: Option<Timestamp>, to: Option<Timestamp>| -> Option<u64> {
            u64::try_from(to?.since(from?).as_millis()).ok()
        };
        Self {
            run: run.id,
            short_id: run.short_id.clone(),
            pipeline: run.pipeline.clone(),
            waited_ms: span(Some(row.scheduled_at), row.started_at),
            worked_ms: span(row.started_at, row.end.as_ref().map(|end| end.at)),
            row,
        }
    }
}

/// `GET /attempts`: attempts of all runs, those of the newest run first.
#[utoipa::path(
    get,
    path = "/attempts",
    tag = "history",
    params(AttemptListParams),
    responses((status = 200, description = "Part of the list.", body = FilteredPage<schema::RunAttemptSchema>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<AttemptListParams>,
) -> Result<Response, Fault> {
    let filters = [params.pipeline.as_deref()];
    let paged = CursorOf::Attempts.with(&with_expression(&filters, params.filter.as_deref()));
    let cursor = app.in_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let at = moment(&app, params.at.as_deref()).await?;
    let min = min_position(&app, params.min_position)?;
    let times = (params.at.as_deref(), at);
    let asked_by = expression(&app, params.filter.as_deref(), &ATTEMPT_FIELDS, times).await?;
    let started_after =
        params.started_after.as_deref().map(|text| time("started_after", text)).transpose()?;
    let filter = RunFilter {
        pipeline: params.pipeline.iter().cloned().collect(),
        started_after,
        ..RunFilter::default()
    };
    let mut scan = ListScan::begin(asked_by.as_ref(), limit);
    let first = app.views().runs(min, |runs| Ok(runs.len())).await?;
    let position = first.position;
    // Runs that begin from now on stand before the first part.
    let newest = (first.value as u64).saturating_sub(1) * OF_RUN;
    let (mut place, mut events) = (Some(cursor.unwrap_or(newest)), 0);
    while let Some(here) = place.filter(|_| events < EVENTS_MAX && scan.may_go_on()) {
        let (run_place, skipped, asked) = (here / OF_RUN, here % OF_RUN, filter.clone());
        let look = move |runs: &everfold_projections::RunsView<'_>| {
            runs.list(&asked, RunOrder::Newest, Some(run_place), 1, at)
        };
        let page = app.views().runs(Some(position), look).await?.value;
        let next = page.next.map(|next| next * OF_RUN);
        let Some(run) = page.items.first() else {
            place = next;
            continue;
        };
        // What came since is of another position than this answer.
        let history = app.history_until(run.id, at.or(Some(position))).await?;
        events += history.len();
        let rows = attempts(&history);
        let (count, wanted) = (rows.len() as u64, scan.wanted() as u64);
        let part = rows.into_iter().skip(skipped as usize).take(scan.wanted());
        if !scan.add(part.map(|row| RunAttempt::of(run, row)).collect())? {
            break;
        }
        let through = skipped + wanted;
        // Behind what the number has room for the rest of a run is left out; its timeline has it.
        place = if through < count.min(OF_RUN) { Some(run_place * OF_RUN + through) } else { next };
    }
    let found = scan.found(place.is_some());
    Ok(read(position, found.page(app.list_cursor(paged, place))))
}
