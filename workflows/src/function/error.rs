//! Why a function failed, as its author says it.

use everfold_base::failure::{Failure, FailureKind};

/// Why a function failed. Any error becomes one by `?`; its causes become the details.
///
/// ```
/// use everfold_workflows::function::{Call, StepError};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct File { path: String }
///
/// async fn count(call: Call, file: File) -> Result<usize, StepError> {
///     let text = std::fs::read_to_string(call.folder().join(&file.path))?;
///     if text.is_empty() {
///         return Err(StepError::new(format!("{} is empty", file.path)).code("EMPTY").hint("write it"));
///     }
///     Ok(text.lines().count())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepError {
    failure: Failure,
}

impl StepError {
    /// The work failed; `retry` may try it again.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { failure: Failure::new(FailureKind::Error, message) }
    }

    /// What it was given is not what it takes: trying again cannot help.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self { failure: Failure::new(FailureKind::Validation, message) }
    }

    /// Another run or program holds what it needs.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { failure: Failure::new(FailureKind::Conflict, message) }
    }

    /// A code of its own, by which routes and programs distinguish failures.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.failure.code = Some(code.into());
        self
    }

    /// What a person can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.failure.hint = Some(hint.into());
        self
    }

    /// More of what happened.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.failure.detail = Some(detail.into());
        self
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        error.failure
    }
}

// No `Error` of its own: else any error could not become one by `?`.
impl<E: std::error::Error> From<E> for StepError {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(next) = cause {
            causes.push(next.to_string());
            cause = next.source();
        }
        let error = Self::new(error.to_string());
        if causes.is_empty() { error } else { error.detail(causes.join(": ")) }
    }
}
