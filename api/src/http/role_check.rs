//! The check before every handler, whether the caller has the route's role, and the answer in place of a panic.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use everfold_engine::actor::Actor;
use futures::FutureExt as _;

use super::app::App;
use crate::access::{Caller, RequiredRole, needed};
use crate::fault::{Code, Fault};
use crate::node::Node;

/// Turns a panic into an answer, and refuses requests without a caller and those that their caller may not make.
pub(super) async fn checked(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let caller = request.extensions().get::<Caller>().cloned();
    // An unknown path gets 404 whatever the caller's role.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let permitted = match (&caller, &route) {
        (None, _) => Err(Fault::new(Code::Internal, "the request comes from nobody")),
        (_, None) => Ok(()),
        (Some(caller), Some(route)) => permitted(&app, caller, &method, route.as_str()).await,
    };
    let recordable = permitted.and_then(|()| recordable(&app, caller.as_ref(), &method));
    if let Err(fault) = recordable {
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

async fn permitted(app: &Node, caller: &Caller, method: &Method, route: &str) -> Result<(), Fault> {
    let needs = needed(method, route);
    match caller.role {
        _ if needs == RequiredRole::Public => Ok(()),
        None if matches!(caller.actor, Actor::Run(_)) => {
            app.access().record_refusal(caller, format!("{method} {route}"), needs.least()).await;
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
            app.access().record_refusal(caller, format!("{method} {route}"), needs.least()).await;
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

/// Refuses a name of a person that looks like a credential: what a caller does is recorded with it.
fn recordable(app: &Node, caller: Option<&Caller>, method: &Method) -> Result<(), Fault> {
    let Some(Caller { actor: Actor::User(name), .. }) = caller else { return Ok(()) };
    if method.is_safe() {
        return Ok(());
    }
    let Some((pattern, _)) = app.engine().credential_in(name) else { return Ok(()) };
    let message = format!("the caller's name holds what looks like a credential ({pattern})");
    Err(Fault::new(Code::Invalid, message).hint(
        "EVERFOLD_USER is recorded with what is done, and stands on screens: set it to a person's name",
    ))
}

pub(super) async fn no_route(method: Method, uri: Uri) -> Fault {
    Fault::new(Code::NoRoute, format!("there is no route {method} {}", uri.path()))
        .hint("docs/reference/rest.md lists the routes; they begin with /api/v1")
}

/// `OPTIONS` is answered with the methods in `Allow`, which the router adds; no other origin is let in.
pub(super) async fn no_method(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Fault::new(Code::NoMethod, format!("{} does not take {method}", uri.path())).into_response()
}
