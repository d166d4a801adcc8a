//! The parts of answers: pages of lists, and headers with the position and the replay of a write.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use everfold_engine::id::Position;
use serde::Serialize;

use crate::fault::Fault;
use crate::node::WriteReceipt;

/// The header with the position that a write led to, or up to which a read model has folded.
pub const POSITION_HEADER: HeaderName = HeaderName::from_static("everfold-position");
/// The header of an answer to a repeated write: `true`; absent otherwise.
pub const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The type of every error's body.
pub const PROBLEM_TYPE: &str = "application/problem+json";

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE))];
        let mut response = (status, kind, Json(self.problem())).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"everfold\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(1)));
        }
        response
    }
}

/// The answer to a write: the body, the position that it led to, and whether this is the first answer again.
pub(crate) fn written(status: StatusCode, went: impl Into<WriteReceipt>, body: impl Serialize) -> Response {
    let WriteReceipt { position, replayed } = went.into();
    let position = [(POSITION_HEADER, HeaderValue::from(position.get()))];
    let mut response = (status, position, Json(body)).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    response
}

/// The answer of a read model: the body, and the position up to which it has folded.
pub(crate) fn read(position: Position, body: impl Serialize) -> Response {
    ([(POSITION_HEADER, HeaderValue::from(position.get()))], Json(body)).into_response()
}

/// Part of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next part begins; null at the end.
    pub(crate) next_cursor: Option<String>,
}
