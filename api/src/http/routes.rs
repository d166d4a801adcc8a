//! Every route with its handler, and the layers around all of them.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Extensions, HeaderMap};
use axum::{Extension, Router, middleware};
use serde_json::Value;
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate, SizeAbove};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::{App, BODY_BYTES_MAX};
use super::document::chosen_rows::chosen;
use super::document::{DocumentText, Uncompressed, document_of, page};
use super::{
    access, artefacts, attempts, audit, backtest, bisect, board, budgets, bulk, byte_reservation, control,
    diff, events, export, graphs, health, hooks, inbox, layers, limited_runs, limits, live, logs, mcp,
    moments, notices, orch, pipeline_stats, pipelines, projections, queries, read_turns, rerun, role_check,
    runs, schedules, signals, spend, state, stats, store, stream, why, worker_reports, workers,
};
use crate::metrics::count;
use crate::node::Node;
use everfold_pages::Rest;

/// Shorter answers are not compressed: a compressor holds more memory than they have bytes.
const COMPRESSED_FROM: u64 = 1024;

/// All routes over one node, and over them the pages and the tools of agents. The listener of a connection puts a [`crate::access::Caller`] into
/// the request's extensions; a request without one is refused.
pub fn router(node: Arc<Node>) -> Router {
    let reservations = byte_reservation::Reservations::default();
    let rest = rest(Arc::clone(&node), reservations.clone());
    let tools = mcp::McpTools::new(&node, rest.clone(), reservations);
    let pages = everfold_pages::beside(Rest::new(rest), live::changes(node));
    Router::new()
        .fallback(async move |request: Request| {
            if request.uri().path() == mcp::PATH {
                return tools.answer(request).await;
            }
            let Ok(response) = pages.clone().oneshot(request).await;
            response
        })
        .layer(middleware::from_fn(layers::with_request_id))
        .layer(CompressionLayer::new().compress_when(compressible()))
        .layer(middleware::from_fn(layers::with_some_encoding))
}

/// Which answers are compressed.
fn compressible() -> impl Predicate {
    // Logs that are followed line by line: a compressor would delay lines.
    DefaultPredicate::new()
        .and(SizeAbove::new(COMPRESSED_FROM))
        .and(NotForContentType::const_new("text/plain"))
        .and(NotForContentType::const_new("application/jsonl"))
        .and(|_, _, _: &HeaderMap, extensions: &Extensions| extensions.get::<Uncompressed>().is_none())
}

/// The routes of REST over one node.
fn rest(node: Arc<Node>, reservations: byte_reservation::Reservations) -> Router {
    let (routes, _document) = routes().split_for_parts();
    routes
        .fallback(role_check::no_route)
        .method_not_allowed_fallback(role_check::no_method)
        .layer(middleware::from_fn(|request: Request, next: middleware::Next| {
            chosen(document(), request, next)
        }))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), role_check::checked))
        .layer(middleware::from_fn_with_state(Arc::clone(node.metrics()), count))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(layers::within_time))
        .layer(middleware::from_fn(layers::with_request_id))
        .layer(Extension(DocumentText(document_text)))
        .layer(Extension(reservations))
        .layer(Extension(read_turns::ReadTable::default()))
        .layer(Extension(queries::QueryTurns::default()))
        .layer(CompressionLayer::new().compress_when(compressible()))
        .with_state(node)
}

/// Every route there is. `routes!` adds a route together with its part of the document, so that no route lacks one.
pub(super) fn routes() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(runs::list, runs::create))
        .routes(routes!(bulk::order))
        .routes(routes!(runs::get))
        .routes(routes!(control::drive))
        .routes(routes!(control::cancel))
        .routes(routes!(control::abandon))
        .routes(routes!(control::pause))
        .routes(routes!(control::interrupt))
        .routes(routes!(control::resume))
        .routes(routes!(control::unblock))
        .routes(routes!(control::recheck))
        .routes(routes!(rerun::retry))
        .routes(routes!(rerun::restart))
        .routes(routes!(rerun::fork))
        .routes(routes!(control::note))
        .routes(routes!(signals::signal))
        .routes(routes!(signals::breakpoints))
        .routes(routes!(spend::budget, spend::raise))
        .routes(routes!(spend::spend))
        .routes(routes!(limited_runs::list))
        .routes(routes!(signals::signal_all))
        .routes(routes!(signals::engine))
        .routes(routes!(signals::pause))
        .routes(routes!(signals::resume))
        .routes(routes!(limits::limits))
        .routes(routes!(limits::reset))
        .routes(routes!(events::list))
        .routes(routes!(export::all))
        .routes(routes!(events::stream))
        .routes(routes!(state::at))
        .routes(routes!(diff::diff))
        .routes(routes!(diff::runs))
        .routes(routes!(queries::lineage))
        .routes(routes!(bisect::of_run))
        .routes(routes!(bisect::of_runs))
        .routes(routes!(why::of_run))
        .routes(routes!(why::of_folder))
        .routes(routes!(queries::schema, queries::query))
        .routes(routes!(queries::insights))
        .routes(routes!(state::definition))
        .routes(routes!(graphs::of_run))
        .routes(routes!(state::timeline))
        .routes(routes!(attempts::list))
        .routes(routes!(audit::of_run))
        .routes(routes!(state::replay, state::replay_by))
        .routes(routes!(logs::log))
        .routes(routes!(artefacts::list))
        .routes(routes!(artefacts::bytes))
        .routes(routes!(stream::all))
        .routes(routes!(audit::decisions))
        .routes(routes!(audit::gates))
        .routes(routes!(backtest::backtest))
        .routes(routes!(board::board))
        .routes(routes!(stats::stats))
        .routes(routes!(orch::tasks))
        .routes(routes!(orch::task))
        .routes(routes!(orch::queue))
        .routes(routes!(orch::review))
        .routes(routes!(orch::costs))
        .routes(routes!(moments::get))
        .routes(routes!(projections::list))
        .routes(routes!(projections::rebuild))
        .routes(routes!(inbox::list))
        .routes(routes!(inbox::decide))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::check))
        .routes(routes!(pipelines::get, pipelines::save))
        .routes(routes!(graphs::of_pipeline))
        .routes(routes!(pipelines::versions))
        .routes(routes!(pipeline_stats::stats))
        .routes(routes!(hooks::list))
        .routes(routes!(hooks::receive))
        .merge(hooks::handshakes())
        .routes(routes!(hooks::of_source, hooks::deliver))
        .routes(routes!(hooks::get))
        .routes(routes!(hooks::redeliver))
        .routes(routes!(notices::list))
        .routes(routes!(notices::retry))
        .routes(routes!(notices::drop))
        .routes(routes!(notices::subscriptions))
        .routes(routes!(notices::test))
        .routes(routes!(schedules::list, schedules::add))
        .routes(routes!(schedules::get, schedules::update, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::trigger))
        .routes(routes!(budgets::list))
        .routes(routes!(budgets::set, budgets::unset))
        .routes(routes!(store::info))
        .routes(routes!(store::verify))
        .routes(routes!(store::adopt))
        .routes(routes!(workers::list))
        .routes(routes!(workers::poll))
        .routes(routes!(workers::heartbeat))
        .routes(routes!(workers::complete))
        .routes(routes!(workers::fail))
        .routes(routes!(worker_reports::reports))
        .routes(routes!(access::list, access::create))
        .routes(routes!(access::revoke))
        .routes(routes!(access::whoami, access::login, access::logout))
        .routes(routes!(access::link));
    OpenApiRouter::new()
        .nest("/api/v1", api)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(page::page))
        .routes(routes!(page::file))
        .routes(routes!(page::json))
}

/// The document of every route.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document_of(routes().into_openapi()));
    &DOCUMENT
}

/// The document's text, one copy for all requests: callers without a token may ask often, and then take no answer.
fn document_text() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    TEXT.clone()
}
