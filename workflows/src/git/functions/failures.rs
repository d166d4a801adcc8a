//! The failures of the functions `git.*`.

use everfold_base::failure::{Failure, FailureKind};

use crate::git::error::GitError;
use crate::git::repository::unable;

/// A failure with a code.
pub(super) fn failed(kind: FailureKind, code: &str, message: impl Into<String>, hint: &str) -> Failure {
    let mut failure = Failure::new(kind, message).with_hint(hint);
    failure.code = Some(code.to_owned());
    failure
}

/// The failure of a call of git that nothing better is known of.
pub(super) fn broken(error: GitError) -> Failure {
    let failure = unable(&error);
    if matches!(error, GitError::Gone { .. }) {
        return failure;
    }
    let kind = if matches!(error, GitError::Failed { .. }) { FailureKind::Error } else { failure.kind };
    Failure { kind, code: Some("GIT_FAILED".to_owned()), ..failure }
}
