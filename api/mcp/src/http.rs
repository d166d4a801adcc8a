//! The protocol over HTTP (Streamable HTTP), one request at a time.
//!
//! Law: nothing is kept between requests, so there are no sessions that a client could pile up, lose or steal. Each
//! request brings what it needs, as the protocol has it since 2026-07-28; older clients are served in the same way.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use rmcp::transport::streamable_http_server::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::tower::StreamableHttpService;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::client_message::{self, ClientMessage};
use crate::rest::RestRoutes;
use crate::server::McpServer;

/// How often a stream that waits says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The tools over HTTP.
#[derive(Clone)]
pub struct McpService(StreamableHttpService<McpServer, NeverSessionManager>);

impl McpService {
    /// The tools over these routes. Streams end when the node closes; a body has so many bytes at most.
    #[must_use]
    pub fn new(routes: RestRoutes, closing: CancellationToken, body_bytes_max: usize) -> Self {
        let mut config = StreamableHttpServerConfig::default()
            // The listener has checked host and origin as for every route.
            .disable_allowed_hosts()
            .disable_allowed_origins();
        config.legacy_session_mode = false;
        config.json_response = true;
        config.sse_keep_alive = Some(KEEP_ALIVE);
        config.cancellation_token = closing;
        config.max_request_body_bytes = body_bytes_max;
        let server = McpServer::new(routes);
        let each = move || Ok(server.clone());
        Self(StreamableHttpService::new(each, Arc::new(NeverSessionManager::default()), config))
    }

    /// The answer to a request, whose extensions say who the caller is.
    pub async fn answer(&self, mut request: Request) -> Response {
        // The SDK wants to see a host, also where the listener needs none: on the folder's own socket.
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert(HeaderValue::from_static("everfold"));
        // The SDK refuses `*/*`, which HTTP clients send unless they are told what to accept.
        if headers.get(header::ACCEPT).is_some_and(|kinds| kinds == "*/*") {
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        }
        let Ok(response) = self.0.clone().oneshot(request).await;
        response.map(Body::new)
    }

    /// The answer to a request with a body, which is a message.
    pub async fn answer_message(&self, head: Parts, bytes: Bytes) -> Response {
        let is_json =
            head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
                kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
            });
        let answer = self.answer(Request::from_parts(head, Body::from(bytes.clone()))).await;
        // The SDK takes JSON that is no message for a body that is no JSON.
        if !is_json || answer.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
            return answer;
        }
        let ClientMessage::Refused(refusal) = client_message::read(&bytes) else { return answer };
        let Ok(body) = serde_json::to_vec(&refusal) else { return answer };
        let mut refused = Response::new(Body::from(body));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        refused.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        refused
    }
}
