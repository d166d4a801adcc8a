//! The protocol over HTTP (Streamable HTTP), one request at a time.
//!
//! Law: nothing is kept between requests, so there are no sessions that a client could pile up, lose or steal. Each
//! request brings what it needs, as the protocol has it since 2026-07-28; older clients are served in the same way.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use rmcp::transport::streamable_http_server::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::tower::StreamableHttpService;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

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
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("everfold"));
        let Ok(response) = self.0.clone().oneshot(request).await;
        response.map(Body::new)
    }
}
