//! An error with its code, message and hint, and the same as `application/problem+json`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::codes::Code;

/// An error at the edge.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Which kind.
    pub code: Code,
    /// What happened, in one line.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The single faults, where there are several.
    pub errors: Vec<Value>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// An error without a hint.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, errors: Vec::new(), retry_after: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a hint, if there is one.
    #[must_use]
    pub fn hinted(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The same with the single faults.
    #[must_use]
    pub fn errors(mut self, errors: Vec<Value>) -> Self {
        self.errors = errors;
        self
    }

    /// The same, with the time to come again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The document of RFC 9457.
    #[must_use]
    pub fn problem(&self) -> ProblemDocument {
        ProblemDocument {
            kind: format!("urn:everfold:error:{}", self.code),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            detail: self.message.clone(),
            code: self.code.as_str().to_owned(),
            hint: self.hint.clone(),
            errors: self.errors.clone(),
        }
    }
}

/// An error as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// A URI of the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The single faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Value>,
}

impl From<ProblemDocument> for Fault {
    fn from(problem: ProblemDocument) -> Self {
        // An owner of a newer version may know more codes.
        let code = Code::parse(&problem.code).unwrap_or(match problem.status {
            404 => Code::NoRoute,
            409 => Code::Refused,
            400..=499 => Code::Invalid,
            _ => Code::Internal,
        });
        Self { code, message: problem.detail, hint: problem.hint, errors: problem.errors, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_back_as_the_same_fault() {
        let fault = Fault::new(Code::NoRun, "there is no run “abcd”").hint("`everfold runs` lists them");
        let text = serde_json::to_string(&fault.problem()).unwrap();
        let back: ProblemDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(Fault::from(back), fault);
    }
}
