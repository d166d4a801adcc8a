//! The REST routes, as a page calls them: in this process, as the caller of the page.
//!
//! Law: a page has no other way to ask. A call carries the extensions of the page's request, by which the routes
//! know its caller, so a page shows and does what its caller may see and do over REST, and nothing else.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, Method, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::problem::Problem;

/// The largest answer that a page reads whole, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The REST routes of one node.
#[derive(Debug, Clone)]
pub struct Rest(BoxCloneSyncService<Request, Response, Infallible>);

impl Rest {
    /// The routes that a service answers, usually a router.
    pub fn new<S>(routes: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(routes))
    }

    /// The answer of the routes.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let Ok(response) = self.0.clone().oneshot(request).await;
        response
    }

    /// The routes as the caller of a request, whose extensions and headers are given.
    #[must_use]
    pub fn called_by(&self, extensions: &Extensions, headers: &HeaderMap) -> CallerRest {
        let extensions =
            extensions.get::<OfListener>().map(|OfListener(kept)| kept.clone()).unwrap_or_default();
        let mut kept = HeaderMap::new();
        for name in [header::HOST, header::AUTHORIZATION, header::COOKIE] {
            if let Some(value) = headers.get(&name) {
                kept.insert(name, value.clone());
            }
        }
        CallerRest { rest: self.clone(), extensions, headers: kept }
    }
}

/// What the listener said of a request, kept apart before the pages' router adds its own: the routes of REST would take
/// the parameters of a page's path for their own.
#[derive(Debug, Clone)]
pub(crate) struct OfListener(pub(crate) Extensions);

/// The REST routes, called as one caller.
#[derive(Debug, Clone)]
pub struct CallerRest {
    rest: Rest,
    extensions: Extensions,
    headers: HeaderMap,
}

impl CallerRest {
    /// Reads what is at a path below `/api/v1`, with its query: `/runs?limit=1`.
    ///
    /// # Errors
    /// The problem that the route answers with, or an answer that is not of this shape.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let response = self.send(self.request(Method::GET, path, Body::empty())?).await;
        let bytes = taken_in(response).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Problem::within(format!("the answer of {path} cannot be read: {error}")))
    }

    /// Writes: sends a body to a path below `/api/v1`. `once` is the `Idempotency-Key`, which a form carries, so that
    /// a form that is sent twice does one thing.
    ///
    /// # Errors
    /// The problem that the route answers with.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> Result<Value, Problem> {
        let mut request = self.request(method, path, Body::from(body.to_string()))?;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(key) = once.filter(|once| !once.is_empty()).and_then(|once| once.parse().ok()) {
            request.headers_mut().insert("idempotency-key", key);
        }
        let bytes = taken_in(self.send(request).await).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Problem::within(format!("the answer of {path} cannot be read: {error}")))
    }

    /// A request to a path below `/api/v1`, as this caller.
    ///
    /// # Errors
    /// The path is no path of a URL.
    pub fn request(&self, method: Method, path: &str, body: Body) -> Result<Request, Problem> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .body(body)
            .map_err(|error| Problem::not_found(format!("{path}: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        Ok(request)
    }

    /// Sends a request as it is; the answer may be a stream.
    pub async fn send(&self, request: Request) -> Response {
        self.rest.answer(request).await
    }
}

/// What an answer tells that is no success.
pub(crate) async fn problem_of(response: Response) -> Problem {
    match taken_in(response).await {
        Ok(_) => Problem::within("the answer lacks what the page needs"),
        Err(problem) => problem,
    }
}

/// The bytes of an answer, or the problem that it tells.
pub(crate) async fn taken_in(response: Response) -> Result<Bytes, Problem> {
    let (head, body) = response.into_parts();
    let bytes = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| Problem::within(format!("the answer broke off: {error}")))?
        .to_bytes();
    if head.status.is_success() {
        return Ok(bytes);
    }
    let id = head.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    Err(Problem { request_id: id, ..Problem::read(head.status, &bytes) })
}
