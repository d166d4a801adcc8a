//! REST: the one way in. The command line comes through here too, over the owner's socket or within
//! its own process, so that both answer alike.
//!
//! Law: every error is `application/problem+json` with a stable code, wherever it comes from; every
//! write takes `Idempotency-Key` and answers with `Everfold-Position`.
//!
//! A file per group of routes. Statuses stand in [`crate::fault::Code`].

mod access;
mod again;
mod answer;
mod audit;
mod backtest;
mod board;
pub mod caller;
mod control;
mod diff;
mod document;
mod encoded;
mod events;
mod export;
mod extract;
mod head;
mod health;
mod hooks;
mod inbox;
mod limits;
mod logs;
mod named;
mod notices;
mod order;
mod pipelines;
mod projections;
mod room;
mod runs;
mod schedules;
mod spend;
mod sse;
mod standing;
mod state;
mod store;
mod stream;
mod values;
mod workers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use everfold_engine::actor::Actor;
use futures::FutureExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _, SizeAbove};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Needs, needed};
use crate::fault::{Code, Fault};
use crate::metrics::count;
use crate::owner::Owner;

pub use access::Session;
pub use answer::{POSITION_HEADER, PROBLEM_TYPE, REPLAYED_HEADER};
pub(crate) use backtest::{BacktestAnswer, Changed};
pub use caller::Caller;
pub use document::document;
pub(crate) use encoded::Encoded;
pub(crate) use events::{cursor, cursor_text, shown};
pub(crate) use extract::Once;
pub use extract::{BodyMax, BodyWithin};
pub use head::{REQUEST_ID, named};
pub(crate) use limits::LimitsAnswer;
pub(crate) use notices::TestAnswer;
pub(crate) use order::SignalAnswer;
pub use pipelines::{PipelineStep, PipelineView, VersionView};
pub(crate) use spend::{BudgetsAnswer, CounterView, SpendAnswer, SpendItem};

/// The largest request body in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Shorter answers go out as they are: a compressor holds more memory than they have.
const COMPRESSED_FROM: u64 = 1024;

/// What every handler works on.
pub(crate) type App = Arc<Owner>;

/// All routes over one owner. Callers are told apart by the [`Caller`] that whoever takes the
/// connection puts into the request's extensions; without one a request is refused.
pub fn router(owner: Arc<Owner>) -> Router {
    let (routes, _document) = routes().split_for_parts();
    routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&owner), guarded))
        .layer(middleware::from_fn_with_state(Arc::clone(owner.metrics()), count))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(head::dressed))
        .layer(middleware::from_fn(head::named))
        .layer(Extension(room::Rooms::default()))
        .layer(
            CompressionLayer::new().compress_when(
                // What is followed line by line is not held back.
                DefaultPredicate::new()
                    .and(SizeAbove::new(COMPRESSED_FROM))
                    .and(NotForContentType::const_new("text/plain"))
                    .and(NotForContentType::const_new("application/jsonl"))
                    .and(|_, _, _: &HeaderMap, extensions: &Extensions| {
                        extensions.get::<document::Uncompressed>().is_none()
                    }),
            ),
        )
        .with_state(owner)
}

/// Every route there is: each comes with its part of the document, so that none is without.
fn routes() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(runs::list, runs::create))
        .routes(routes!(runs::get))
        .routes(routes!(control::drive))
        .routes(routes!(control::cancel))
        .routes(routes!(control::abandon))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(control::unblock))
        .routes(routes!(control::recheck))
        .routes(routes!(again::retry))
        .routes(routes!(again::restart))
        .routes(routes!(again::fork))
        .routes(routes!(control::note))
        .routes(routes!(order::signal))
        .routes(routes!(order::breakpoints))
        .routes(routes!(spend::budget, spend::raise))
        .routes(routes!(spend::spend))
        .routes(routes!(order::signal_all))
        .routes(routes!(order::engine))
        .routes(routes!(order::pause))
        .routes(routes!(order::resume))
        .routes(routes!(limits::limits))
        .routes(routes!(limits::reset))
        .routes(routes!(events::list))
        .routes(routes!(export::all))
        .routes(routes!(events::stream))
        .routes(routes!(state::at))
        .routes(routes!(diff::diff))
        .routes(routes!(state::definition))
        .routes(routes!(state::timeline))
        .routes(routes!(audit::of_run))
        .routes(routes!(state::replay))
        .routes(routes!(logs::log))
        .routes(routes!(stream::all))
        .routes(routes!(audit::gates))
        .routes(routes!(backtest::backtest))
        .routes(routes!(board::board))
        .routes(routes!(board::stats))
        .routes(routes!(projections::list))
        .routes(routes!(projections::rebuild))
        .routes(routes!(inbox::list))
        .routes(routes!(inbox::decide))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::check))
        .routes(routes!(pipelines::get, pipelines::save))
        .routes(routes!(pipelines::versions))
        .routes(routes!(hooks::list))
        .routes(routes!(hooks::receive))
        .routes(routes!(hooks::of_source, hooks::deliver))
        .routes(routes!(hooks::get))
        .routes(routes!(hooks::redeliver))
        .routes(routes!(notices::list))
        .routes(routes!(notices::retry))
        .routes(routes!(notices::drop))
        .routes(routes!(notices::subscriptions))
        .routes(routes!(notices::test))
        .routes(routes!(schedules::list, schedules::add))
        .routes(routes!(schedules::get, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::trigger))
        .routes(routes!(store::info))
        .routes(routes!(store::verify))
        .routes(routes!(store::adopt))
        .routes(routes!(workers::list))
        .routes(routes!(workers::poll))
        .routes(routes!(workers::heartbeat))
        .routes(routes!(workers::complete))
        .routes(routes!(workers::fail))
        .routes(routes!(access::list, access::create))
        .routes(routes!(access::revoke))
        .routes(routes!(access::whoami, access::login, access::logout))
        .routes(routes!(access::link));
    OpenApiRouter::new()
        .nest("/api/v1", api)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(access::link_page, access::by_link))
        .routes(routes!(document::page))
        .routes(routes!(document::file))
        .routes(routes!(document::json))
}

/// Turns a panic into an answer, and refuses requests that come from nobody or from somebody who
/// may not do that.
async fn guarded(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let caller = request.extensions().get::<Caller>().cloned();
    // What is no route is answered so, whoever asks.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let permitted = match (&caller, &route) {
        (None, _) => Err(Fault::new(Code::Internal, "the request comes from nobody")),
        (_, None) => Ok(()),
        (Some(caller), Some(route)) => permitted(&app, caller, &method, route.as_str()).await,
    };
    if let Err(fault) = permitted {
        return fault.into_response();
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => {
            tracing::error!(%method, path = uri.path(), "a request ended in a panic");
            Fault::new(Code::Internal, format!("{method} {} failed within Everfold", uri.path()))
                .into_response()
        }
    }
}

async fn permitted(app: &Owner, caller: &Caller, method: &Method, route: &str) -> Result<(), Fault> {
    let needs = needed(method, route);
    match caller.role {
        _ if needs == Needs::Nobody => Ok(()),
        None if matches!(caller.actor, Actor::Run(_)) => {
            app.access().refused(caller, format!("{method} {route}"), needs.least()).await;
            Err(Fault::new(
                Code::OfStep,
                format!("{} may not speak to the engine: {method} {route}", caller.actor),
            )
            .hint("`api: {role: operator}` in the step lets its process in, as itself and for as long as the attempt lasts"))
        }
        None => Err(Fault::new(Code::NotKnown, format!("{method} {route} needs a token"))
            .hint("send `Authorization: Bearer TOKEN`; `everfold token create NAME --role ROLE` makes one")),
        Some(role) if needs.has(role) => Ok(()),
        Some(role) => {
            app.access().refused(caller, format!("{method} {route}"), needs.least()).await;
            let who = &caller.actor;
            Err(Fault::new(
                Code::NotPermitted,
                format!("{who} is {role}; {method} {route} needs {}", needs.least()),
            )
            .hint(format!(
                "an admin makes a token that may: `everfold token create NAME --role {}`",
                needs.least()
            )))
        }
    }
}

async fn no_route(method: Method, uri: Uri) -> Fault {
    Fault::new(Code::NoRoute, format!("there is no route {method} {}", uri.path()))
        .hint("docs/reference/rest.md lists the routes; they begin with /api/v1")
}

/// `OPTIONS` is answered with the methods in `Allow`, which the router adds; no other origin is let in.
async fn no_method(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Fault::new(Code::NoMethod, format!("{} does not take {method}", uri.path())).into_response()
}
