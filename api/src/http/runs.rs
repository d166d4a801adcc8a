//! Runs: the list, one run, the start of a run.

use everfold_engine::input::StartOptions;
use everfold_engine::json::JsonText;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use everfold_engine::id::RunId;
use everfold_engine::state::RunStatus;
use everfold_engine::store::DedupKeep;
use everfold_engine::time::Timestamp;
use everfold_projections::{
    RUN_FIELDS, RunExpression, RunFilter, RunOrder, RunRow, RunSort, RunsView, SortError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{read, written};
use super::app::App;
use super::credentials::credentials;
use super::extract::{JsonBody, Params, Path, bad_key, once};
use super::filter::{SortAnswer, SortedPage, compiled, moment_of};
use super::parameters::{limit, min_position, moment, wait};
use super::pipeline_source::source;
use super::read_turns::ReadTurns;
use super::session_check::SessionCheck;
use super::values::time;
use crate::access::Caller;
use crate::body::filter::FilterAnswer;
use crate::body::start::CreateBody;
use crate::fault::{Code, Fault};
use crate::label_filter;
use crate::node::{CursorOf, EndTurn, PagedList, SortedPlace, StartRun, StartedRun};
use crate::schema;
use crate::view::RunView;

/// The header with the idempotency key of a write.
const KEY_HEADER: &str = "idempotency-key";
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunListParams {
    status: Option<String>,
    pipeline: Option<String>,
    /// Its number (`run.number`).
    number: Option<u64>,
    /// `KEY:VALUE` or `KEY`, several separated by commas; `\` takes a colon or comma behind it as it is.
    label: Option<String>,
    q: Option<String>,
    started_after: Option<String>,
    /// The run that started them.
    parent: Option<String>,
    /// The topmost run above them: those below it, at whatever depth.
    top: Option<String>,
    /// Something goes on at this step.
    step: Option<String>,
    /// A person with this role is waited for.
    awaiting: Option<String>,
    /// An expression over the fields of a row: `status == 'failed' && cost > 2.0`.
    filter: Option<String>,
    /// `-started`, `started`, `-ended`, `ended`, or a field of a row, with `-` before it where the largest come first:
    /// `-cost`, `elapsed`, `labels.team`.
    sort: Option<String>,
    /// A time or a position: what was there then.
    at: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

/// `GET /runs`: newest first unless asked otherwise.
#[utoipa::path(
    get,
    path = "/runs",
    tag = "runs",
    params(RunListParams),
    responses((status = 200, description = "Part of the list, newest first.", body = SortedPage<schema::RunRowSchema>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<RunListParams>,
) -> Result<Response, Fault> {
    let mut filter = filter(&params)?;
    if let Some(parent) = &params.parent {
        filter.parent = vec![app.resolve(parent).await?];
    }
    if let Some(top) = &params.top {
        filter.top = vec![app.resolve(top).await?];
    }
    match order(params.sort.as_deref())? {
        ListOrder::Stored(order) => stored(&app, params, filter, order).await,
        ListOrder::By(sort) => sorted(&app, params, filter, sort).await,
    }
}

/// In an order that the read model stores.
async fn stored(
    app: &App,
    params: RunListParams,
    mut filter: RunFilter,
    order: RunOrder,
) -> Result<Response, Fault> {
    let paged = paged(&params, &filter, counts_in(order));
    let cursor = app.in_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let at = moment(app, params.at.as_deref()).await?;
    if let Some(source) = &params.filter {
        let now = moment_of(app, params.at.as_deref(), at).await?;
        filter.asked = Some(expression(app, source, now)?);
    }
    let min = min_position(app, params.min_position)?;
    let answer = app.views().runs(min, move |runs| runs.list(&filter, order, cursor, limit, at)).await?;
    let next_cursor = app.list_cursor(paged, answer.value.next);
    let items: Vec<ListedRun> = answer.value.items.into_iter().map(ListedRun::of(app)).collect();
    let filter = answer.value.scan.map(FilterAnswer::from);
    Ok(read(answer.position, SortedPage { items, next_cursor, filter, sort: None }))
}

/// In the order of a field: every part is of the position and the moment of the first.
async fn sorted(
    app: &App,
    params: RunListParams,
    mut filter: RunFilter,
    sort: RunSort,
) -> Result<Response, Fault> {
    let paged = paged(&params, &filter, CursorOf::RunsSorted);
    let place = app.in_sorted_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let (at, now) = match &place {
        Some(place) => (Some(place.position), place.now),
        None => {
            let at = moment(app, params.at.as_deref()).await?;
            (at, moment_of(app, params.at.as_deref(), at).await?)
        }
    };
    filter.asked = params.filter.as_deref().map(|source| expression(app, source, now)).transpose()?;
    let min = min_position(app, params.min_position.max(place.as_ref().map(|place| place.position.get())))?;
    let skipped = place.map_or(0, |place| place.skipped);
    let sorted = move |runs: &RunsView<'_>| runs.sorted(&filter, &sort, skipped, limit, at, now);
    let answer = app.views().runs(min, sorted).await?;
    let found = answer.value;
    let next = found.next.map(|skipped| SortedPlace { skipped, position: found.position, now });
    let next_cursor = next.map(|next| app.sorted_cursor(paged, &next));
    let items: Vec<ListedRun> = found.items.into_iter().map(ListedRun::of(app)).collect();
    let filter = found.scan.map(FilterAnswer::from);
    let sort = Some(SortAnswer::from(found.sort));
    Ok(read(answer.position, SortedPage { items, next_cursor, filter, sort }))
}

/// An expression over the fields of runs.
pub(super) fn expression(app: &App, source: &str, now: Timestamp) -> Result<RunExpression, Fault> {
    let set_aside = app.set_aside().into_iter().collect();
    Ok(RunExpression::new(compiled(source, &RUN_FIELDS, now)?, now, set_aside))
}

/// A run in a list or on the board.
#[derive(Debug, Serialize)]
pub(super) struct ListedRun {
    #[serde(flatten)]
    row: RunRow,
    /// Why it cannot be gone on with.
    set_aside: Option<String>,
}

impl ListedRun {
    /// Converts rows of the read model into rows of answers.
    pub(super) fn of(app: &App) -> impl Fn(RunRow) -> Self + use<> {
        let aside: BTreeMap<RunId, String> = app.set_aside().into_iter().collect();
        move |row| Self { set_aside: aside.get(&row.id).cloned(), row }
    }
}

/// The order of a list of runs.
enum ListOrder {
    Stored(RunOrder),
    By(RunSort),
}

fn order(asked: Option<&str>) -> Result<ListOrder, Fault> {
    let stored = match asked {
        None | Some("-started") => RunOrder::Newest,
        Some("started") => RunOrder::Oldest,
        Some("-ended") => RunOrder::EndedLast,
        Some("ended") => RunOrder::EndedFirst,
        Some(field) => {
            let refused = |error: SortError| Fault::new(Code::Invalid, error.message).hint(error.hint);
            return RunSort::parse(field).map(ListOrder::By).map_err(refused);
        }
    };
    Ok(ListOrder::Stored(stored))
}

/// What a cursor of the list counts in this order.
fn counts_in(order: RunOrder) -> CursorOf {
    match order {
        RunOrder::Newest => CursorOf::RunsNewest,
        RunOrder::Oldest => CursorOf::RunsOldest,
        RunOrder::EndedLast => CursorOf::RunsEndedLast,
        RunOrder::EndedFirst => CursorOf::RunsEndedFirst,
    }
}

/// The list whose parts a cursor goes through.
fn paged(params: &RunListParams, filter: &RunFilter, of: CursorOf) -> PagedList {
    let number = params.number.map(|number| number.to_string());
    let [parent, top] = [&filter.parent, &filter.top].map(|runs| runs.first().map(ToString::to_string));
    let RunListParams { status, pipeline, label, q, step, awaiting, filter: asked, .. } = params;
    let simple = [status, pipeline, &number, label, q, &parent, &top, step, awaiting];
    let mut filters: Vec<Option<&str>> = simple.map(Option::as_deref).to_vec();
    // Cursors of lists without an expression stay what they were.
    filters.extend(asked.as_deref().map(Some));
    if of == CursorOf::RunsSorted {
        filters.push(params.sort.as_deref());
        // All parts are of one moment; cursors of the present stay what they were.
        filters.extend(params.at.as_deref().map(Some));
    }
    of.with(&filters)
}

fn filter(params: &RunListParams) -> Result<RunFilter, Fault> {
    let words = |text: &Option<String>| -> Vec<String> {
        text.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect()
    };
    let statuses = params.status.iter().flat_map(|text| text.split(','));
    let status: Result<Vec<RunStatus>, Fault> = statuses.map(status).collect();
    let started_after =
        params.started_after.as_deref().map(|text| time("started_after", text)).transpose()?;
    Ok(RunFilter {
        status: status?,
        pipeline: params.pipeline.iter().cloned().collect(),
        number: params.number.into_iter().collect(),
        labels: params.label.as_deref().map(label_filter::labels).unwrap_or_default(),
        words: words(&params.q),
        started_after,
        parent: Vec::new(),
        top: Vec::new(),
        origin: None,
        step: params.step.clone(),
        awaiting: params.awaiting.clone(),
        search: None,
        asked: None,
    })
}

fn status(word: &str) -> Result<RunStatus, Fault> {
    serde_json::from_value(Value::String(word.to_owned())).map_err(|_| {
        Fault::new(Code::Invalid, format!("“{word}” is no status"))
            .hint("queued, running, waiting, paused, blocked, stopping, succeeded, failed, cancelled")
    })
}

/// What the routes that show one run take.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WaitParams {
    /// Answers when the run has ended, at the latest after this time: the status says which.
    #[param(pattern = "^([0-5]?[0-9]|60)s$", example = "30s")]
    wait: Option<String>,
}

/// `GET /runs/{id}`: one run: steps, gates, what it awaits, how it failed.
#[utoipa::path(
    get,
    path = "/runs/{run}",
    tag = "runs",
    params(WaitParams),
    responses((status = 200, description = "The run.", body = RunView))
)]
pub(crate) async fn get(
    State(app): State<App>,
    session: SessionCheck,
    Path(run): Path<String>,
    Params(params): Params<WaitParams>,
    turns: Option<Extension<ReadTurns>>,
) -> Result<Response, Fault> {
    let wait = wait(params.wait.as_deref())?;
    let run = app.resolve(&run).await?;
    if let Some(within) = wait {
        let turn = app.end_turn()?;
        until_end(&app, &session, &turn, run, within).await?;
    }
    let _turn = match &turns {
        Some(Extension(turns)) => Some(turns.turn().await?),
        None => None,
    };
    Ok(Json(app.view(run).await?).into_response())
}

/// Waits for the end of a run, for at most this long and for as long as the caller's token or session is good.
async fn until_end(
    app: &App,
    session: &SessionCheck,
    turn: &EndTurn<'_>,
    run: RunId,
    within: Duration,
) -> Result<(), Fault> {
    tokio::select! {
        ended = app.until_end(turn, run, within) => ended,
        why = session.ended(app) => Err(Fault::new(Code::NotKnown, why)),
    }
}

/// `POST /runs`: starts a run.
///
/// Headers `Everfold-Credential-NAME` bring credentials that secrets of the pipeline name; they are kept sealed until the
/// run has ended.
#[utoipa::path(
    post,
    path = "/runs",
    tag = "runs",
    params(WaitParams),
    request_body = CreateBody,
    responses(
        (status = 201, description = "The run was started.", body = RunView),
        (status = 200, description = "Another run has its key, and nothing was started (`held`).", body = RunView),
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    session: SessionCheck,
    Params(params): Params<WaitParams>,
    mut headers: HeaderMap,
    body: JsonBody<CreateBody>,
) -> Result<Response, Fault> {
    let wait = wait(params.wait.as_deref())?;
    let JsonBody { value: asked, bytes } = body;
    if let Some(key) = &asked.idempotency_key {
        let key: HeaderValue = key.parse().map_err(|_| bad_key())?;
        if let Some(other) = headers.get_all(KEY_HEADER).iter().find(|other| **other != key) {
            let [of_body, of_header] = [&key, other].map(|key| String::from_utf8_lossy(key.as_bytes()));
            let what = format!(
                "`idempotency_key` of the body is “{of_body}”, and the header Idempotency-Key is “{of_header}”"
            );
            return Err(Fault::new(Code::KeyReused, what).hint("give one of them, or the same key in both"));
        }
        headers.insert(KEY_HEADER, key);
    }
    let source = source(asked.pipeline, asked.definition, asked.file, asked.files)?;
    let source = source.ok_or_else(|| Fault::new(Code::Invalid, "pipeline or definition is missing"))?;
    if asked.cwd.is_some() && !caller.local {
        return Err(Fault::new(Code::NotPermitted, "cwd is for callers at this machine only"));
    }
    let once = once(&headers, &caller, "POST /runs", &bytes, DedupKeep::Stream)?;
    let input = asked.input.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let options = StartOptions {
        input: JsonText::new(&input),
        title: asked.title,
        labels: asked.labels,
        cwd: asked.cwd,
        parent: None,
        top: None,
        initiator: None,
        priority: asked.priority,
    };
    let (dedup, credentials) = (once.dedup, credentials(&headers)?);
    let begin = StartRun { source, options, actor: caller.actor, dedup, detach: asked.detach, credentials };
    // Before the run begins: who may not wait has started nothing.
    let turn = wait.map(|_| app.end_turn()).transpose()?;
    let StartedRun { run, went, held } = app.begin(begin).await?;
    if !held {
        app.traces().started_by(run, &headers);
    }
    let viewed = async {
        if let (Some(within), Some(turn)) = (wait, &turn) {
            until_end(&app, &session, turn, run, within).await?;
        }
        Ok::<_, Fault>(RunView { held, ..app.view(run).await? })
    };
    let status = if held { StatusCode::OK } else { StatusCode::CREATED };
    // The run has begun, and the answer names it, whatever ended the wait.
    let mut response = match viewed.await {
        Ok(view) => written(status, went, view).into_response(),
        Err(fault) => fault.into_response(),
    };
    let place = format!("/api/v1/runs/{run}");
    if let Ok(place) = place.parse() {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}
