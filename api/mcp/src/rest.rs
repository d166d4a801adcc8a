//! The REST routes, as a tool calls them.
//!
//! Law: a tool has no other way to ask. A call carries the extensions and the credentials of the request that called the
//! tool, by which the routes know its caller.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::problem::RestProblem;

/// The largest answer of a route that is read whole, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What stays as it is in a segment of a path and a value of a query.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@').remove(b':');

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The REST routes of a node, near or far.
#[derive(Debug, Clone)]
pub struct RestRoutes {
    service: BoxCloneSyncService<Request, Response, Infallible>,
    /// Where commands of started runs work, where the caller works in a folder of this machine.
    cwd: Option<String>,
}

impl RestRoutes {
    /// The routes that a service answers: a router, or a client of another process.
    pub fn new<S>(routes: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self { service: BoxCloneSyncService::new(routes), cwd: None }
    }

    /// The same; commands of runs that are started work in this folder.
    #[must_use]
    pub fn working_in(mut self, folder: String) -> Self {
        self.cwd = Some(folder);
        self
    }

    /// The routes as the caller of a request, whose extensions and headers are given.
    pub(crate) fn called_by(&self, extensions: &Extensions, headers: &HeaderMap) -> RestCaller {
        let mut kept = HeaderMap::new();
        for name in [header::HOST, header::AUTHORIZATION, header::COOKIE] {
            if let Some(value) = headers.get(&name) {
                kept.insert(name, value.clone());
            }
        }
        // Logs name the request by it, so that they show what came over the protocol.
        let drawn = || format!("{:032x}", rand::random::<u128>());
        let id = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()).map_or_else(drawn, str::to_owned);
        if let Ok(id) = HeaderValue::from_str(&format!("mcp-{id}")) {
            kept.insert(REQUEST_ID, id);
        }
        RestCaller { routes: self.clone(), extensions: extensions.clone(), headers: kept }
    }
}

/// The REST routes, called as one caller.
#[derive(Debug, Clone)]
pub(crate) struct RestCaller {
    routes: RestRoutes,
    extensions: Extensions,
    headers: HeaderMap,
}

impl RestCaller {
    /// Where commands of started runs work.
    pub(crate) fn cwd(&self) -> Option<&str> {
        self.routes.cwd.as_deref()
    }

    /// Reads what is at a path below `/api/v1`, with its query.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RestProblem> {
        let response = self.send(self.request(Method::GET, path, Body::empty())?).await;
        document(path, &taken_in(response).await?)
    }

    /// Sends a body to a path below `/api/v1`, under an idempotency key; without one, under a drawn key.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> Result<Value, RestProblem> {
        let mut request = self.request(Method::POST, path, Body::from(body.to_string()))?;
        let drawn = format!("mcp-{:032x}", rand::random::<u128>());
        let key = HeaderValue::from_str(once.unwrap_or(&drawn))
            .map_err(|_| RestProblem::invalid("idempotency_key is a text of visible ASCII characters"))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(IDEMPOTENCY_KEY, key);
        document(path, &taken_in(self.send(request).await).await?)
    }

    /// The end of a text at a path below `/api/v1`, and whether that is all of it.
    pub(crate) async fn text_end(&self, path: &str, bytes_max: usize) -> Result<(String, bool), RestProblem> {
        let response = self.send(self.request(Method::GET, path, Body::empty())?).await;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let (mut end, mut is_whole) = (Vec::new(), true);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| RestProblem::within(format!("the answer broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            end.extend_from_slice(&data);
            if end.len() > bytes_max {
                is_whole = false;
                end.drain(..end.len() - bytes_max);
            }
        }
        Ok((String::from_utf8_lossy(&end).into_owned(), is_whole))
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request, RestProblem> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .body(body)
            .map_err(|error| RestProblem::invalid(format!("{path}: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        Ok(request)
    }

    async fn send(&self, request: Request) -> Response {
        let Ok(response) = self.routes.service.clone().oneshot(request).await;
        response
    }
}

/// The bytes of an answer, or the problem that it tells.
async fn taken_in(response: Response) -> Result<Bytes, RestProblem> {
    let (head, body) = response.into_parts();
    let bytes = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| RestProblem::within(format!("the answer broke off: {error}")))?
        .to_bytes();
    if head.status.is_success() { Ok(bytes) } else { Err(RestProblem::read(head.status, &bytes)) }
}

/// What an answer tells that is no success.
async fn refused(response: Response) -> RestProblem {
    match taken_in(response).await {
        Err(problem) => problem,
        Ok(_) => RestProblem::within("the answer lacks what the tool needs"),
    }
}

fn document(path: &str, bytes: &[u8]) -> Result<Value, RestProblem> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes)
        .map_err(|error| RestProblem::within(format!("the answer of {path} cannot be read: {error}")))
}

/// A text as a segment of a path or a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A path with the parameters that are there.
pub(crate) fn with_query(path: &str, params: &[(&str, Option<String>)]) -> String {
    let given =
        params.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))));
    let query: Vec<String> = given.collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_absent_ones_left_out() {
        let params = [("filter", Some("a == 'x y' && b".to_owned())), ("at", None)];
        assert_eq!(with_query("/runs", &params), "/runs?filter=a%20%3D%3D%20%27x%20y%27%20%26%26%20b");
        assert_eq!(with_query("/runs", &[("at", None)]), "/runs");
        assert_eq!(encoded("5b80:sign/../x:1.1"), "5b80:sign%2F..%2Fx:1.1");
    }
}
