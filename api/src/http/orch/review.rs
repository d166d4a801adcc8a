//! The review clocks of tasks.

use axum::extract::State;
use axum::response::Response;
use everfold_projections::{Judged, StageFilter};
use serde::Deserialize;

use super::scan::{FoundTasks, ShownMoment, scan};
use crate::body::orch::{StagedTask, TaskReview, TaskReviews};
use crate::fault::Fault;
use crate::http::answer::read;
use crate::http::app::App;
use crate::http::extract::Params;
use crate::http::parameters::{limit, min_position, moment};
use crate::node::CursorOf;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReviewParams {
    /// Only reviews that people have in their hands (`true`), or have not.
    open: Option<bool>,
    /// With this label `project`.
    project: Option<String>,
    /// A time or a position.
    at: Option<String>,
    /// Of so many tasks at most.
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

/// `GET /orch/review`: how long people had the approvals of tasks in their hands; tasks that began last first.
#[utoipa::path(
    get,
    path = "/orch/review",
    tag = "orch",
    params(ReviewParams),
    responses((status = 200, description = "The reviews.", body = TaskReviews))
)]
pub(crate) async fn review(
    State(app): State<App>,
    Params(params): Params<ReviewParams>,
) -> Result<Response, Fault> {
    let open = params.open.map(|open| open.to_string());
    let paged = CursorOf::TaskReviews.with(&[open.as_deref(), params.project.as_deref()]);
    let place = (app.in_list(paged, params.cursor.as_deref())?, limit(params.limit)?);
    let at = moment(&app, params.at.as_deref()).await?;
    let moment = ShownMoment::of(&app, at, min_position(&app, params.min_position)?).await?;
    let filter =
        StageFilter { is_open: (params.open == Some(true)).then_some(true), ..StageFilter::default() };
    let is_wanted = |open: bool| params.open.is_none_or(|wanted| wanted == open);
    let fits = |task: &StagedTask| {
        let fits = task.reviews.iter().any(|review| is_wanted(review.open_since.is_some()))
            && params.project.as_ref().is_none_or(|project| task.project.as_ref() == Some(project));
        Ok(if fits { Judged::Fits } else { Judged::DoesNotFit })
    };
    let FoundTasks { position, tasks, next, .. } = scan(&app, filter, moment, place, fits).await?;
    let items = tasks.into_iter().flat_map(reviews).filter(|it| is_wanted(it.review.open_since.is_some()));
    let next_cursor = app.list_cursor(paged, next);
    let of = at.map_or(position, |at| at.min(position));
    Ok(read(position, TaskReviews { position: of, items: items.collect(), next_cursor }))
}

fn reviews(task: StagedTask) -> impl Iterator<Item = TaskReview> {
    let StagedTask { run, short_id, item, title, project, reviews, .. } = task;
    reviews.into_iter().map(move |review| TaskReview {
        run,
        short_id: short_id.clone(),
        item: item.clone(),
        title: title.clone(),
        project: project.clone(),
        review,
    })
}
