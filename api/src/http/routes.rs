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

use super::app::BODY_BYTES_MAX;
use super::document::chosen_rows::chosen;
use super::document::parameterless::Operations;
use super::document::route_list::{RouteList, route_list};
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
        .layer((
            middleware::from_fn(layers::with_some_encoding),
            CompressionLayer::new().compress_when(compressible()),
            middleware::from_fn(layers::with_request_id),
        ))
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

/// The routes of REST over one node. Their layers, the outermost first, are one: a router boxes each route once for each
/// layer that it is given, and a request copies all the boxes below each of them.
fn rest(node: Arc<Node>, reservations: byte_reservation::Reservations) -> Router {
    routes()
        .served(hooks::handshakes())
        .fallback(role_check::no_route)
        .method_not_allowed_fallback(role_check::no_method)
        .layer((
            CompressionLayer::new().compress_when(compressible()),
            Extension(queries::QueryTurns::default()),
            Extension(read_turns::ReadTable::default()),
            Extension(reservations),
            Extension(DocumentText(document_text)),
            middleware::from_fn(layers::with_request_id),
            middleware::from_fn(layers::within_time),
            DefaultBodyLimit::max(BODY_BYTES_MAX),
            middleware::from_fn_with_state(Arc::clone(node.metrics()), count),
            middleware::from_fn_with_state(Arc::clone(&node), role_check::checked),
            middleware::from_fn(|request: Request, next: middleware::Next| chosen(document, request, next)),
            middleware::from_fn(|request: Request, next: middleware::Next| {
                Operations::checked(operations, request, next)
            }),
        ))
        .with_state(node)
}

/// Every route there is, each with its part of the document, so that no route lacks one.
pub(super) fn routes() -> RouteList {
    let api = route_list!(
        runs::list, runs::create;
        bulk::order;
        runs::get;
        control::drive;
        control::cancel;
        control::abandon;
        control::pause;
        control::interrupt;
        control::resume;
        control::unblock;
        control::recheck;
        rerun::retry;
        rerun::restart;
        rerun::fork;
        control::note;
        signals::signal;
        signals::breakpoints;
        spend::budget, spend::raise;
        spend::spend;
        limited_runs::list;
        signals::signal_all;
        signals::engine;
        signals::pause;
        signals::resume;
        limits::limits;
        limits::reset;
        events::list;
        export::all;
        events::stream;
        state::at;
        diff::diff;
        diff::runs;
        queries::lineage;
        bisect::of_run;
        bisect::of_runs;
        why::of_run;
        why::of_folder;
        queries::schema, queries::query;
        queries::insights;
        state::definition;
        graphs::of_run;
        state::timeline;
        attempts::list;
        audit::of_run;
        state::replay, state::replay_by;
        logs::log;
        artefacts::list;
        artefacts::bytes;
        stream::all;
        audit::decisions;
        audit::gates;
        backtest::backtest;
        board::board;
        stats::stats;
        orch::tasks;
        orch::task;
        orch::queue;
        orch::review;
        orch::costs;
        moments::get;
        projections::list;
        projections::rebuild;
        inbox::list;
        inbox::decide;
        pipelines::list;
        pipelines::check;
        pipelines::get, pipelines::save;
        graphs::of_pipeline;
        pipelines::versions;
        pipeline_stats::stats;
        hooks::list;
        hooks::receive;
        hooks::of_source, hooks::deliver;
        hooks::get;
        hooks::redeliver;
        notices::list;
        notices::retry;
        notices::drop;
        notices::subscriptions;
        notices::test;
        schedules::list, schedules::add;
        schedules::get, schedules::update, schedules::remove;
        schedules::pause;
        schedules::resume;
        schedules::trigger;
        budgets::list;
        budgets::set, budgets::unset;
        store::info;
        store::verify;
        store::adopt;
        workers::list;
        workers::poll;
        workers::heartbeat;
        workers::complete;
        workers::fail;
        worker_reports::reports;
        access::list, access::create;
        access::revoke;
        access::whoami, access::login, access::logout;
        access::link;
    );
    let top = route_list!(
        health::healthz;
        health::readyz;
        health::metrics;
        page::page;
        page::file;
        page::json;
    );
    RouteList { top, api, below: "/api/v1" }
}

fn operations() -> &'static Operations {
    static OPERATIONS: LazyLock<Operations> = LazyLock::new(|| Operations::of(&routes()));
    &OPERATIONS
}

/// The document of every route.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document_of(routes().described()));
    &DOCUMENT
}

/// The document's text, one copy for all requests: callers without a token may ask often, and then take no answer.
fn document_text() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    TEXT.clone()
}
