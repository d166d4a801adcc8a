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
mod board;
pub mod caller;
mod control;
mod events;
mod extract;
mod health;
mod hooks;
mod inbox;
mod limits;
mod logs;
mod order;
mod pipelines;
mod projections;
mod runs;
mod schedules;
mod spend;
mod sse;
mod state;
mod store;
mod stream;
mod workers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use everfold_engine::input::InputKind;
use futures::FutureExt as _;

use crate::access::{Needs, needed};
use crate::fault::{Code, Fault};
use crate::metrics::count;
use crate::owner::Owner;

pub use access::Session;
pub use answer::{POSITION_HEADER, PROBLEM_TYPE};
pub use caller::Caller;
pub(crate) use events::{cursor, cursor_text};
pub(crate) use extract::Once;
pub(crate) use limits::LimitsAnswer;
pub(crate) use order::SignalAnswer;
pub use pipelines::{PipelineStep, PipelineView, VersionView};
pub(crate) use spend::{BudgetsAnswer, CounterView, SpendAnswer, SpendItem};

/// The largest request body in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What every handler works on.
pub(crate) type App = Arc<Owner>;

/// All routes over one owner. Callers are told apart by the [`Caller`] that whoever takes the
/// connection puts into the request's extensions; without one a request is refused.
pub fn router(owner: Arc<Owner>) -> Router {
    let api = Router::new()
        .route("/runs", get(runs::list).post(runs::create))
        .route("/runs/{run}", get(runs::get))
        .route("/runs/{run}/drive", post(control::drive))
        .route("/runs/{run}/cancel", post(control::cancel))
        .route("/runs/{run}/pause", control::with_reason("pause", |reason| InputKind::Pause { reason }))
        .route("/runs/{run}/resume", control::with_reason("resume", |reason| InputKind::Resume { reason }))
        .route("/runs/{run}/unblock", post(control::unblock))
        .route("/runs/{run}/recheck", post(control::recheck))
        .route("/runs/{run}/retry", post(again::retry))
        .route("/runs/{run}/restart", post(again::restart))
        .route("/runs/{run}/fork", post(again::fork))
        .route("/runs/{run}/notes", post(control::note))
        .route("/runs/{run}/signals/{name}", post(order::signal))
        .route("/runs/{run}/breakpoints", put(order::breakpoints))
        .route("/runs/{run}/budget", get(spend::budget).post(spend::raise))
        .route("/spend", get(spend::spend))
        .route("/signals/{name}", post(order::signal_all))
        .route("/engine", get(order::engine))
        .route("/engine/pause", post(order::pause))
        .route("/engine/resume", post(order::resume))
        .route("/engine/limits", get(limits::limits))
        .route("/engine/breakers/{name}/reset", post(limits::reset))
        .route("/runs/{run}/events", get(events::list))
        .route("/runs/{run}/events/stream", get(events::stream))
        .route("/runs/{run}/state", get(state::at))
        .route("/runs/{run}/definition", get(state::definition))
        .route("/runs/{run}/timeline", get(state::timeline))
        .route("/runs/{run}/audit", get(audit::of_run))
        .route("/runs/{run}/replay", get(state::replay))
        .route("/runs/{run}/attempts/{step}/{round}/{attempt}/log", get(logs::log))
        .route("/stream", get(stream::all))
        .route("/audit/gates", get(audit::gates))
        .route("/board", get(board::board))
        .route("/stats", get(board::stats))
        .route("/projections", get(projections::list))
        .route("/projections/{name}/rebuild", post(projections::rebuild))
        .route("/inbox", get(inbox::list))
        .route("/inbox/{task}", post(inbox::decide))
        .route("/pipelines", get(pipelines::list))
        .route("/pipelines/check", post(pipelines::check))
        .route("/pipelines/{name}", get(pipelines::get).put(pipelines::save))
        .route("/pipelines/{name}/versions", get(pipelines::versions))
        .route("/hooks", get(hooks::list))
        .route("/hooks/{source}", post(hooks::receive))
        .route("/hooks/{source}/deliveries", get(hooks::of_source).post(hooks::deliver))
        .route("/hooks/{source}/deliveries/{id}", get(hooks::get))
        .route("/hooks/{source}/deliveries/{id}/redeliver", post(hooks::redeliver))
        .route("/schedules", get(schedules::list).post(schedules::add))
        .route("/schedules/{name}", get(schedules::get).delete(schedules::remove))
        .route("/schedules/{name}/pause", post(schedules::pause))
        .route("/schedules/{name}/resume", post(schedules::resume))
        .route("/schedules/{name}/trigger", post(schedules::trigger))
        .route("/store", get(store::info))
        .route("/store/verify", get(store::verify))
        .route("/store/adopt", post(store::adopt))
        .route("/workers", get(workers::list))
        .route("/workers/poll", post(workers::poll))
        .route("/workers/attempts/{id}/heartbeat", post(workers::heartbeat))
        .route("/workers/attempts/{id}/complete", post(workers::complete))
        .route("/workers/attempts/{id}/fail", post(workers::fail))
        .route("/tokens", get(access::list).post(access::create))
        .route("/tokens/{name}", axum::routing::delete(access::revoke))
        .route("/session", get(access::whoami).post(access::login).delete(access::logout))
        .route("/session/links", post(access::link));
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/login", get(access::by_link))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&owner), guarded))
        .layer(middleware::from_fn_with_state(Arc::clone(owner.metrics()), count))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(owner)
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
            tracing::error!(%method, %uri, "a request ended in a panic");
            Fault::new(Code::Internal, format!("{method} {} failed within Everfold", uri.path()))
                .into_response()
        }
    }
}

async fn permitted(app: &Owner, caller: &Caller, method: &Method, route: &str) -> Result<(), Fault> {
    let needs = needed(method, route);
    match caller.role {
        _ if needs == Needs::Nobody => Ok(()),
        None => Err(Fault::new(Code::NotKnown, format!("{method} {route} needs a token"))
            .hint("send `Authorization: Bearer TOKEN`; `everfold token create NAME --role ROLE` makes one")),
        Some(role) if needs.has(role) => Ok(()),
        Some(role) => {
            app.access().refused(caller, format!("{method} {route}"), needs.least()).await;
            let who = &caller.actor;
            Err(Fault::new(
                Code::NotPermitted,
                format!("{who} is {role}; {method} {route} needs {}", needs.least()),
            ))
        }
    }
}

async fn no_route(method: Method, uri: Uri) -> Fault {
    Fault::new(Code::NoRoute, format!("there is no route {method} {}", uri.path()))
        .hint("docs/reference/rest.md lists the routes; they begin with /api/v1")
}

async fn no_method(method: Method, uri: Uri) -> Fault {
    Fault::new(Code::NoMethod, format!("{} does not take {method}", uri.path()))
}
