//! Routes that take no parameters in the query, and refuse any.
//!
//! Law: no route leaves a parameter unread: its caller would take the answer for what was asked. A route with parameters
//! refuses unknown ones itself, as it reads them.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{HttpMethod, RefOr};

use super::route_list::RouteList;
use crate::fault::{Code, Fault};

/// The routes of the API, whose parameters are its own.
const API: &str = "/api/v1/";
/// The query of a delivery is its sender's.
const DELIVERIES: &str = "/api/v1/hooks/{source}";

/// The operations of all routes, by method and path. To make the part of one takes microseconds, and the whole document
/// many milliseconds, which a short command would not have.
pub(in crate::http) struct Operations(HashMap<(Method, String), fn() -> Operation>);

impl Operations {
    pub(in crate::http) fn of(routes: &RouteList) -> Self {
        let mut all = HashMap::new();
        for (below, operation) in routes.operations() {
            for method in (operation.methods)() {
                all.insert((served(&method), format!("{below}{}", (operation.path)())), operation.part);
            }
        }
        Self(all)
    }

    /// Refuses a request with parameters where its route takes none. The routes are looked up only then.
    pub(in crate::http) async fn checked(
        all: fn() -> &'static Self,
        request: Request,
        next: Next,
    ) -> Response {
        match all_unknown(all, &request) {
            Some(fault) => fault.into_response(),
            None => next.run(request).await,
        }
    }
}

fn served(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}

/// A parameter that stands elsewhere in the document counts, too: none is refused that the route may read.
fn is_of_query(parameter: &RefOr<Parameter>) -> bool {
    match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => true,
    }
}

fn all_unknown(all: fn() -> &'static Operations, request: &Request) -> Option<Fault> {
    let query = request.uri().query().filter(|query| !query.is_empty())?;
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    if !route.starts_with(API) || route == DELIVERIES {
        return None;
    }
    let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let part = all().0.get(&(method.clone(), route.to_owned()))?();
    if part.parameters.iter().flatten().any(is_of_query) {
        return None;
    }
    let name = query.split(['&', '=']).next().unwrap_or_default();
    Some(Fault::new(Code::Invalid, format!("the query: unknown parameter `{name}`; this route takes none")))
}
