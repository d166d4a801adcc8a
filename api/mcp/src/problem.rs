//! What a route refused or could not do, for a model to read.

use axum::http::StatusCode;
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ErrorCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// The answer of a route that is no success.
#[derive(Debug, Clone)]
pub(crate) struct RestProblem {
    status: u16,
    /// The stable code, `EF…`; empty: the route did not say one.
    code: String,
    detail: String,
    hint: Option<String>,
    errors: Vec<Value>,
}

/// The parts of a problem document that are passed on.
#[derive(Deserialize)]
struct SentProblem {
    code: String,
    detail: String,
    hint: Option<String>,
    #[serde(default)]
    errors: Vec<Value>,
}

/// So many single errors are passed on.
const ERRORS_MAX: usize = 20;

impl RestProblem {
    /// What an answer says, which should be a problem document.
    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        let status = status.as_u16();
        match serde_json::from_slice::<SentProblem>(body) {
            Ok(SentProblem { code, detail, hint, mut errors }) => {
                errors.truncate(ERRORS_MAX);
                Self { status, code, detail, hint, errors }
            }
            Err(_) => Self::of(status, format!("the route answered {status}")),
        }
    }

    /// Arguments that no route needs to look at.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::of(400, detail.into())
    }

    /// Something that is not there any more, or is another one by now.
    pub(crate) fn stale(detail: impl Into<String>) -> Self {
        Self::of(409, detail.into())
    }

    /// Something failed within Everfold.
    pub(crate) fn within(detail: impl Into<String>) -> Self {
        Self::of(500, detail.into())
    }

    fn of(status: u16, detail: String) -> Self {
        Self { status, code: String::new(), detail, hint: None, errors: Vec::new() }
    }

    /// The same with what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the run has ended already, or the request changes nothing for another reason of its state.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == 409
    }

    /// Whether the caller may not do it.
    pub(crate) fn is_of_rights(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// As the result of a tool, which its model reads.
    pub(crate) fn result(&self) -> CallToolResult {
        CallToolResult::structured_error(self.value())
    }

    /// As an error of the protocol, for requests that are no calls of tools.
    pub(crate) fn error(&self) -> ErrorData {
        let code = match self.status {
            500.. => ErrorCode::INTERNAL_ERROR,
            404 | 409 | 400 | 422 => ErrorCode::INVALID_PARAMS,
            _others => ErrorCode::INVALID_REQUEST,
        };
        ErrorData::new(code, self.detail.clone(), Some(self.value()))
    }

    fn value(&self) -> Value {
        let mut value = json!({ "error": self.detail, "status": self.status });
        if !self.code.is_empty() {
            value["code"] = json!(self.code);
        }
        if let Some(hint) = &self.hint {
            value["hint"] = json!(hint);
        }
        if !self.errors.is_empty() {
            value["errors"] = json!(self.errors);
        }
        value
    }
}
