//! Notices that were given up, and subscriptions to events of all runs.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::driver::By;
use everfold_engine::store::DedupKeep;
use everfold_engine::time::Timestamp;
use serde::Deserialize;

use super::answer::{Page, written};
use super::app::App;
use super::extract::{Params, Path, once};
use super::filter::FilteredPage;
use super::list_fields::NOTICE_FIELDS;
use super::list_scan::{ListScan, expression};
use super::parameters::limit;
use crate::access::Caller;
use crate::body::notice::TestAnswer;
use crate::fault::{Code, Fault};
use crate::node::{NoticeView, SubscriptionView};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NoticeListParams {
    /// An expression over the fields of a row: `subscription == 'team' && tries > 3`.
    filter: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /notices`: the notices that did not arrive, newest first: of runs, and of subscriptions.
#[utoipa::path(
    get,
    path = "/notices",
    tag = "notices",
    params(NoticeListParams),
    responses((status = 200, description = "What was given up, and what is being sent again.", body = FilteredPage<NoticeView>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<NoticeListParams>,
) -> Result<Json<FilteredPage<NoticeView>>, Fault> {
    let mut after = params.cursor.as_deref().map(place).transpose()?;
    let asked_by = expression(&app, params.filter.as_deref(), &NOTICE_FIELDS, (None, None)).await?;
    let mut scan = ListScan::begin(asked_by.as_ref(), limit(params.limit)?);
    loop {
        let (items, has_more) = app.lost_notices(after.clone(), scan.wanted()).await?;
        let next = items.last().filter(|_| has_more).map(|last| (last.at, last.id.clone()));
        let is_added = scan.add(items)?;
        after = if is_added { next } else { after };
        if after.is_none() || !is_added || !scan.goes_on() {
            let next_cursor = after.map(|(at, id)| format!("{}-{id}", at.0));
            return Ok(Json(scan.found(next_cursor.is_some()).page(next_cursor)));
        }
    }
}

fn place(cursor: &str) -> Result<(Timestamp, String), Fault> {
    let wrong = || Fault::new(Code::Invalid, "`cursor` is what `next_cursor` of the last answer said");
    let (at, id) = cursor.split_once('-').ok_or_else(wrong)?;
    Ok((Timestamp(at.parse().map_err(|_| wrong())?), id.to_owned()))
}

/// `POST /notices/{notice}/retry`: it is sent again, for a day if need be. Answered when that is durable, before it is sent.
/// One that a newer one of its channel has made moot is dropped instead (`superseded`).
#[utoipa::path(
    post,
    path = "/notices/{notice}/retry",
    tag = "notices",
    responses((status = 200, description = "It is being sent again.", body = NoticeView))
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let dedup = once(&headers, &caller, &format!("POST /notices/{id}/retry"), &[], DedupKeep::Week)?.dedup;
    let (went, view) = app.retry_notice(&id, By { actor: caller.actor, dedup }).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `POST /notices/{notice}/drop`: it is let be, and listed no more.
#[utoipa::path(
    post,
    path = "/notices/{notice}/drop",
    tag = "notices",
    responses((status = 200, description = "It is dropped.", body = NoticeView))
)]
pub(crate) async fn drop(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let dedup = once(&headers, &caller, &format!("POST /notices/{id}/drop"), &[], DedupKeep::Week)?.dedup;
    let (went, view) = app.drop_notice(&id, By { actor: caller.actor, dedup }).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// `GET /subscriptions`: the subscriptions of the settings, and how they stand.
#[utoipa::path(
    get,
    path = "/subscriptions",
    tag = "notices",
    responses((status = 200, description = "In the order of the settings.", body = Page<SubscriptionView>))
)]
pub(crate) async fn subscriptions(State(app): State<App>) -> Result<Json<Page<SubscriptionView>>, Fault> {
    Ok(Json(Page { items: app.subscription_views().await?, next_cursor: None }))
}

/// `POST /subscriptions/{name}/test`: sends one notice that says that it is a test. Nothing is recorded, and it is
/// not tried again.
#[utoipa::path(
    post,
    path = "/subscriptions/{name}/test",
    tag = "notices",
    responses(
        (status = 200, description = "It arrived.", body = TestAnswer),
        (status = 502, description = "It did not arrive; `detail` says why.", body = crate::fault::ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn test(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Fault> {
    app.test_subscription(&name).await?;
    let answer = TestAnswer { subscription: name, delivered: true };
    Ok(written(StatusCode::OK, app.store().last_position(), answer))
}
