//! How the steps of a pipeline did in its newest ended runs.
//!
//! Law: an answer is made of so many runs and so many of their events at most, and says of how many runs it is. Each run is
//! read once, piece by piece; nothing is kept of it but the sums of its steps.

use axum::extract::State;
use axum::response::Response;
use everfold_engine::envelope::StreamId;
use everfold_engine::id::Version;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_projections::{RunFilter, RunOrder, RunRow, StepFigures, StepFiguresRow, StepsOfRun};
use serde::{Deserialize, Serialize};

use super::answer::read;
use super::app::App;
use super::extract::{Params, Path};
use super::parameters::{bounded, min_position, moment};
use super::values::time;
use crate::fault::Fault;
use crate::schema;

/// Events that are read at once.
const CHUNK: usize = 1_000;
/// Events that one answer is made of, but for those of the run that reaches this bound.
const EVENTS_MAX: usize = 500_000;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PipelineStatsParams {
    /// Of so many runs at most: those that ended last.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    runs: Option<usize>,
    /// A time: of runs that ended from then on.
    since: Option<String>,
    /// A time or a position: of runs that had ended then.
    at: Option<String>,
    min_position: Option<u64>,
}

/// How the steps of a pipeline did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PipelineStats)]
pub(crate) struct PipelineStatsAnswer {
    pipeline: String,
    /// Of how many runs the figures are: those that ended last.
    runs: usize,
    /// Whether runs that fit ended before these; they are not counted.
    has_older: bool,
    /// When the first of them ended; null where there is none.
    #[schema(value_type = Option<schema::TimeSchema>)]
    first_ended_at: Option<Timestamp>,
    /// When the last of them ended.
    #[schema(value_type = Option<schema::TimeSchema>)]
    last_ended_at: Option<Timestamp>,
    /// Each step that one of them began; those first in which machines worked longest in all of the runs, then those that
    /// people took longest for.
    #[schema(value_type = Vec<schema::StepFiguresSchema>)]
    steps: Vec<StepFiguresRow>,
}

/// `GET /pipelines/{name}/stats`: how its steps did in the runs that ended last.
#[utoipa::path(
    get,
    path = "/pipelines/{name}/stats",
    tag = "pipelines",
    params(PipelineStatsParams),
    responses((status = 200, description = "The figures of its steps.", body = PipelineStatsAnswer))
)]
pub(crate) async fn stats(
    State(app): State<App>,
    Path(name): Path<String>,
    Params(params): Params<PipelineStatsParams>,
) -> Result<Response, Fault> {
    let runs = bounded("runs", params.runs)?;
    let since = params.since.as_deref().map(|since| time("since", since)).transpose()?;
    let at = moment(&app, params.at.as_deref()).await?;
    let min = min_position(&app, params.min_position)?;
    let filter = RunFilter {
        pipeline: vec![name.clone()],
        status: vec![RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled],
        ..RunFilter::default()
    };
    let order = RunOrder::EndedLast;
    let answer = app.views().runs(min, move |view| view.list(&filter, order, None, runs, at)).await?;
    let page = answer.value;
    if page.items.is_empty() {
        // A pipeline without runs is known by its name alone.
        app.pipeline(&name).await?;
    }
    let (mut has_older, listed) = (page.next.is_some(), page.items.len());
    let is_wanted =
        |row: &RunRow| since.is_none_or(|since| row.shown.ended_at.is_some_and(|ended| ended >= since));
    let rows: Vec<RunRow> = page.items.into_iter().take_while(is_wanted).collect();
    has_older &= rows.len() == listed;
    let (mut figures, mut events, mut counted) = (StepFigures::default(), 0, 0);
    for row in &rows {
        if events >= EVENTS_MAX {
            has_older = true;
            break;
        }
        let (run, read) = steps_of(&app, row).await?;
        figures.add(run);
        (events, counted) = (events + read, counted + 1);
    }
    let rows = rows.get(..counted).unwrap_or_default();
    let ended_at = |row: Option<&RunRow>| row.and_then(|row| row.shown.ended_at);
    let stats = PipelineStatsAnswer {
        pipeline: name,
        runs: counted,
        has_older,
        first_ended_at: ended_at(rows.last()),
        last_ended_at: ended_at(rows.first()),
        steps: figures.rows(),
    };
    Ok(read(answer.position, stats))
}

/// The steps of a run up to what its row shows, and how many events they were read from.
async fn steps_of(app: &App, row: &RunRow) -> Result<(StepsOfRun, usize), Fault> {
    let (stream, mut next) = (StreamId::run(row.id), Version::FIRST);
    let (mut steps, mut count) = (StepsOfRun::default(), 0);
    while next <= row.version {
        let events = app.store().read(&stream, next, CHUNK).await?;
        let Some(last) = events.last() else { break };
        next = last.header.version.next();
        events.iter().filter(|event| event.header.version <= row.version).for_each(|event| steps.fold(event));
        count += events.len();
    }
    Ok((steps, count))
}
