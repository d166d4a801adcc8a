//! What went wrong, as a page shows it: the fields of `application/problem+json`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A refusal or a fault of a route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The status of HTTP.
    pub status: u16,
    /// What kind of problem it is, in a few words.
    pub title: String,
    /// What happened.
    pub detail: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The stable code.
    pub code: String,
    /// The single faults, each with its place.
    pub errors: Vec<Value>,
    /// By which id the server's log names the request.
    pub request_id: Option<String>,
}

/// The code of [`Problem::changed`], and of the same refusal by REST.
pub(crate) const CHANGED: &str = "EF0346";

impl Default for Problem {
    fn default() -> Self {
        Self {
            status: 500,
            title: "Everfold failed".to_owned(),
            detail: String::new(),
            hint: None,
            code: "EF0219".to_owned(),
            errors: Vec::new(),
            request_id: None,
        }
    }
}

impl Problem {
    /// What an answer with a status that is no success tells.
    #[must_use]
    pub fn read(status: StatusCode, body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("refused").to_owned(),
            detail: String::from_utf8_lossy(body).into_owned(),
            ..Self::default()
        })
    }

    /// A fault of the pages themselves.
    #[must_use]
    pub fn within(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::default() }
    }

    /// There is no such page.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self {
            status: 404,
            title: "There is no such page".to_owned(),
            detail: detail.into(),
            code: "EF0207".to_owned(),
            ..Self::default()
        }
    }

    /// What a form brought cannot be used.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self {
            status: 422,
            title: "This cannot be used".to_owned(),
            detail: detail.into(),
            code: "EF0211".to_owned(),
            ..Self::default()
        }
    }

    /// The server refuses a form whose page shows a former state: another user changed that since.
    #[must_use]
    pub fn changed(detail: impl Into<String>) -> Self {
        Self {
            status: 409,
            title: "It changed since you looked".to_owned(),
            detail: detail.into(),
            code: CHANGED.to_owned(),
            ..Self::default()
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether it is that a run is set aside.
    #[must_use]
    pub fn is_set_aside(&self) -> bool {
        self.code == "EF0216"
    }

    /// Whether the caller is unknown, and may log in.
    #[must_use]
    pub fn is_unknown_caller(&self) -> bool {
        self.status == 401
    }
}

impl IntoResponse for Problem {
    /// An answer without a body; the layer around all pages renders it.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
