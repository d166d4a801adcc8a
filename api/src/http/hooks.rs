//! Deliveries of webhooks: services send them, signed; operators submit, read and repeat them, where `-` stands for any
//! source.
//!
//! Law: before it posts anything, a sender may ask whether it may (HTTP 1.1 Web Hooks for Event Delivery 1.0.2). Nothing is
//! granted but by `origins` of the source's settings, and a grant proves nothing: each delivery is judged by its signature.

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use everfold_engine::actor::Actor;
use everfold_engine::driver::By;
use everfold_engine::id::Position;
use everfold_engine::store::DedupKeep;
use serde::{Deserialize, Serialize};

use super::answer::written;
use super::app::App;
use super::extract::{JsonBody, Params, Path, Raw, once};
use super::filter::FilteredPage;
use super::list_fields::DELIVERY_FIELDS;
use super::list_scan::{ListScan, expression, with_expression};
use super::parameters::limit;
use crate::access::Caller;
use crate::body::hook::DeliverBody;
use crate::fault::{Code, Fault};
use crate::node::{CursorOf, DeliveryView, ReceivedDelivery, WriteReceipt};
use crate::settings::RATE_WITHOUT_TOKEN;

const ASKED_ORIGIN: &str = "webhook-request-origin";
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// What a source takes.
const METHODS: HeaderValue = HeaderValue::from_static("OPTIONS,POST");

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeliveryListParams {
    /// An expression over the fields of a row: `source == 'gitea' && handled.exists(h, h.outcomes.exists(o, o.outcome == 'refused'))`.
    filter: Option<String>,
    limit: Option<usize>,
    /// Where to go on: `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// `GET /hooks`: the newest deliveries of all sources.
#[utoipa::path(
    get,
    path = "/hooks",
    tag = "hooks",
    params(DeliveryListParams),
    responses((status = 200, description = "The newest deliveries.", body = FilteredPage<DeliveryView>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<DeliveryListParams>,
) -> Result<Json<FilteredPage<DeliveryView>>, Fault> {
    page(&app, None, &params).await
}

/// `GET /hooks/{source}/deliveries`: the newest deliveries of a source.
#[utoipa::path(
    get,
    path = "/hooks/{source}/deliveries",
    tag = "hooks",
    params(DeliveryListParams),
    responses((status = 200, description = "The newest deliveries.", body = FilteredPage<DeliveryView>))
)]
pub(crate) async fn of_source(
    State(app): State<App>,
    Path(source): Path<String>,
    Params(params): Params<DeliveryListParams>,
) -> Result<Json<FilteredPage<DeliveryView>>, Fault> {
    page(&app, named(&source), &params).await
}

async fn page(
    app: &App,
    source: Option<&str>,
    params: &DeliveryListParams,
) -> Result<Json<FilteredPage<DeliveryView>>, Fault> {
    if let Some(source) = source {
        app.refuse_unknown_source(source).await?;
    }
    let paged = CursorOf::Deliveries.with(&with_expression(&[source], params.filter.as_deref()));
    let mut before = app.in_list(paged, params.cursor.as_deref())?.map(Position);
    let asked_by = expression(app, params.filter.as_deref(), &DELIVERY_FIELDS, (None, None)).await?;
    let mut scan = ListScan::begin(asked_by.as_ref(), limit(params.limit)?);
    loop {
        let (items, next) = app.deliveries(source, before, scan.wanted()).await?;
        let is_added = scan.add(items)?;
        before = if is_added { next } else { before };
        if before.is_none() || !is_added || !scan.goes_on() {
            let found = scan.found(before.is_some());
            return Ok(Json(found.page(app.list_cursor(paged, before.map(|next| next.0)))));
        }
    }
}

fn named(source: &str) -> Option<&str> {
    (source != "-").then_some(source)
}

/// A delivery that was kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ReceivedAnswer {
    source: String,
    id: String,
    /// It had come before; nothing was recorded.
    repeated: bool,
}

/// What the sender of a delivery is answered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(crate) enum SenderAnswer {
    /// It was kept.
    Received(ReceivedAnswer),
    /// What Telegram shows to the person who pressed a button.
    Button(ButtonAnswer),
}

/// A call of the method `answerCallbackQuery` of Telegram.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ButtonAnswer {
    /// The method.
    method: String,
    /// Its parameters.
    #[serde(flatten)]
    parameters: serde_json::Map<String, serde_json::Value>,
}

/// `POST /hooks/{source}`: a delivery as its service sends it. Answered when it is durable, and what it leads to
/// is recorded afterwards: 202 for a new one, 200 for one that had come before. A pressed button of Telegram is
/// answered with what it led to.
#[utoipa::path(
    post,
    path = "/hooks/{source}",
    tag = "hooks",
    request_body(content = Option<serde_json::Value>, content_type = "application/json", description = "As its source sends it; it may be empty."),
    responses(
        (status = 202, description = "It is kept and will be handled.", body = ReceivedAnswer),
        (status = 200, description = "It had come before; or it is a pressed button.", body = SenderAnswer),
    )
)]
pub(crate) async fn receive(
    State(app): State<App>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let taken = take(&app, &source, request).await;
    // Few services show to anyone what they were answered.
    let ReceivedDelivery { position, id, repeated, reply } =
        taken.inspect_err(|fault| tracing::warn!(source, "a delivery is refused: {fault}"))?;
    let went = WriteReceipt { position, replayed: repeated };
    if let Some(serde_json::Value::Object(mut parameters)) = reply
        && let Some(serde_json::Value::String(method)) = parameters.remove("method")
    {
        return Ok(written(StatusCode::OK, went, SenderAnswer::Button(ButtonAnswer { method, parameters })));
    }
    let status = if repeated { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(written(status, went, SenderAnswer::Received(ReceivedAnswer { source, id, repeated })))
}

async fn take(app: &App, source: &str, request: Request) -> Result<ReceivedDelivery, Fault> {
    let headers = request.headers().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(name, value)?))).collect();
    // Before the body is read: a request without a signature is refused at once.
    app.expects(source, &headers)?;
    let Raw(body) = Raw::from_request(request, app).await?;
    app.receive(source, &headers, &body).await
}

/// The text of a header. One that is no UTF-8 is none, but an attribute of a CloudEvent: its reader refuses it where other bytes
/// came, which stand there as U+FFFD.
fn text(name: &HeaderName, value: &HeaderValue) -> Option<String> {
    let plain = std::str::from_utf8(value.as_bytes()).map(str::to_owned).ok();
    let is_attribute = name.as_str().starts_with("ce-");
    plain.or_else(|| is_attribute.then(|| String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

/// The handshake of webhooks: no operation of this API, but of the protocol in which deliveries come.
pub(crate) fn handshakes() -> Router<App> {
    Router::new().route("/hooks/{source}", axum::routing::options(handshake))
}

/// `OPTIONS /hooks/{source}`: a sender of CloudEvents asks whether it may deliver. Answers 200 with `WebHook-Allowed-Origin` where the settings let the sender deliver; else 204 without it, as every other
/// path answers `OPTIONS`.
async fn handshake(
    State(app): State<App>,
    Path(source): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let settings = app.source(&source)?;
    let asked = headers.get(ASKED_ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let granted = asked.and_then(|asked| settings.granted_origin(asked));
    let granted = granted.and_then(|origin| HeaderValue::from_str(origin).ok());
    let Some(granted) = granted else {
        if let Some(asked) = asked {
            // The sender shows to few people why it does not begin.
            tracing::warn!(
                source,
                asked,
                "a sender may not deliver: `origins` of the source does not name it"
            );
        }
        return Ok((StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response());
    };
    let grant = [(header::ALLOW, METHODS), (ALLOWED_ORIGIN, granted), (ALLOWED_RATE, rate(&app, &source))];
    Ok((StatusCode::OK, grant).into_response())
}

/// How many deliveries a minute are taken. What is rightly signed is not counted.
fn rate(app: &App, source: &str) -> HeaderValue {
    if app.is_signed_source(source) {
        return HeaderValue::from_static("*");
    }
    HeaderValue::from(RATE_WITHOUT_TOKEN.saturating_mul(60))
}

/// `POST /hooks/{source}/deliveries`: a delivery by hand: 201 for a new one, 200 for one that had come before. The delivery's id
/// recognises a repeated write.
#[utoipa::path(
    post,
    path = "/hooks/{source}/deliveries",
    tag = "hooks",
    request_body = DeliverBody,
    responses(
        (status = 201, description = "What it led to.", body = DeliveryView),
        (status = 200, description = "It had come before.", body = DeliveryView),
    )
)]
pub(crate) async fn deliver(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody<DeliverBody>,
) -> Result<Response, Fault> {
    speaks_for_sources(&caller)?;
    let DeliverBody { body, headers, id } = body.value;
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let (went, view) = app.deliver(&source, &headers, body.as_bytes(), id.as_deref(), caller.actor).await?;
    let status = if view.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok(written(status, went, view))
}

/// `GET /hooks/{source}/deliveries/{id}`: one delivery, with what triggers see of it.
#[utoipa::path(
    get,
    path = "/hooks/{source}/deliveries/{id}",
    tag = "hooks",
    responses((status = 200, description = "The delivery.", body = DeliveryView))
)]
pub(crate) async fn get(
    State(app): State<App>,
    Path((source, id)): Path<(String, String)>,
) -> Result<Json<DeliveryView>, Fault> {
    Ok(Json(app.delivery(named(&source), &id).await?))
}

/// `POST /hooks/{source}/deliveries/{id}/redeliver`: it is handled once more, as if it had come just now.
#[utoipa::path(
    post,
    path = "/hooks/{source}/deliveries/{id}/redeliver",
    tag = "hooks",
    responses((status = 200, description = "What it led to.", body = DeliveryView))
)]
pub(crate) async fn redeliver(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path((source, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    speaks_for_sources(&caller)?;
    let about = format!("POST /hooks/{source}/deliveries/{id}/redeliver");
    let dedup = once(&headers, &caller, &about, &[], DedupKeep::Week)?.dedup;
    let (went, view) = app.redeliver(named(&source), &id, By { actor: caller.actor, dedup }).await?;
    Ok(written(StatusCode::OK, went, view))
}

/// Refuses the process of a step: a delivery counts as the source's word, and may decide where a step may not.
fn speaks_for_sources(caller: &Caller) -> Result<(), Fault> {
    match &caller.actor {
        Actor::Run(_) => {
            let what = format!("{} delivers nothing in the name of a source", caller.actor);
            Err(Fault::new(Code::NotPermitted, what).hint("send a signal: it is recorded as the step's own"))
        }
        _other => Ok(()),
    }
}
