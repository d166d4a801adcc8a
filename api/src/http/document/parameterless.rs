//! Routes that take no parameters in the query, and refuse any.
//!
//! Law: no route leaves a parameter unread: its caller would take the answer for what was asked. A route with parameters
//! refuses unknown ones itself, as it reads them.

use std::collections::HashSet;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::openapi::operations;
use crate::fault::{Code, Fault};

/// The routes of the API, whose parameters are its own.
const API: &str = "/api/v1/";
/// The query of a delivery is its sender's.
const DELIVERIES: &str = "/api/v1/hooks/{source}";

/// The routes that take no parameters in the query.
pub(in crate::http) struct Parameterless(HashSet<(Method, String)>);

impl Parameterless {
    /// Those of a document.
    pub(in crate::http) fn of(document: OpenApi) -> Self {
        let mut found = HashSet::new();
        for (path, mut item) in document.paths.paths {
            if !path.starts_with(API) || path == DELIVERIES {
                continue;
            }
            let of_path = item.parameters.take().unwrap_or_default();
            for (method, operation) in operations(&mut item) {
                let mut all = of_path.iter().chain(operation.parameters.iter().flatten());
                if !all.any(is_of_query) {
                    found.insert((method, path.clone()));
                }
            }
        }
        Self(found)
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

/// A parameter that stands elsewhere in the document counts, too: none is refused that the route may read.
fn is_of_query(parameter: &RefOr<Parameter>) -> bool {
    match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => true,
    }
}

fn all_unknown(all: fn() -> &'static Parameterless, request: &Request) -> Option<Fault> {
    let query = request.uri().query().filter(|query| !query.is_empty())?;
    let route = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        others => others.clone(),
    };
    if !all().0.contains(&(method, route)) {
        return None;
    }
    let name = query.split(['&', '=']).next().unwrap_or_default();
    Some(Fault::new(Code::Invalid, format!("the query: unknown parameter `{name}`; this route takes none")))
}
