//! The tools of agents at `/mcp`, over the routes of REST.
//!
//! Law: who may not read may not speak to them at all; what a tool does is judged by the routes that it asks, as their
//! caller is the caller here.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use everfold_mcp::{McpService, RestRoutes};
use tower::ServiceExt as _;

use super::app::{App, BODY_BYTES_MAX};
use super::byte_reservation::Reservations;
use super::extract::Raw;
use crate::access::Caller;

/// Where they are.
pub(crate) const PATH: &str = "/mcp";

/// The tools of a node.
#[derive(Clone)]
pub(super) struct McpTools {
    rest: Router,
    service: McpService,
    reservations: Reservations,
}

impl McpTools {
    /// The tools over these routes of a node.
    pub(super) fn new(node: &App, rest: Router, reservations: Reservations) -> Self {
        let closing = node.closing_token().clone();
        let service = McpService::new(RestRoutes::new(rest.clone()), closing, BODY_BYTES_MAX);
        Self { rest, service, reservations }
    }

    /// Answers a request of the protocol.
    pub(super) async fn answer(&self, mut request: Request) -> Response {
        if request.extensions().get::<Caller>().is_none_or(|caller| caller.role.is_none()) {
            return self.refused(request).await;
        }
        if *request.method() != Method::POST {
            return self.service.answer(request).await;
        }
        // Bodies count against the same bounds as those of the routes.
        request.extensions_mut().insert(self.reservations.clone());
        let (head, body) = request.into_parts();
        match Raw::from_request(Request::from_parts(head.clone(), body), &()).await {
            Ok(Raw(bytes)) => self.service.answer_message(head, bytes).await,
            Err(fault) => fault.into_response(),
        }
    }

    /// What the routes answer a caller without a role who asks who it is: that it may not.
    async fn refused(&self, request: Request) -> Response {
        let (head, _body) = request.into_parts();
        let mut asked = Request::new(Body::empty());
        *asked.uri_mut() = axum::http::Uri::from_static("/api/v1/session");
        *asked.extensions_mut() = head.extensions;
        *asked.headers_mut() = head.headers;
        let Ok(response) = self.rest.clone().oneshot(asked).await;
        response
    }
}
