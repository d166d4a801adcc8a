//! Why there is no evidence: it will never come, or not now.

use everfold_ports::ProbeFailure;

use crate::git::GitError;

/// Evidence that asking again will not bring.
pub(super) fn never(message: impl Into<String>) -> ProbeFailure {
    ProbeFailure::permanent(message)
}

/// The failure of a worktree that is not the run's is permanent; any other error of git may pass.
pub(super) fn gone(error: GitError) -> ProbeFailure {
    match &error {
        GitError::Gone { .. } => never(error.to_string()),
        _passing => not_now(error.to_string()),
    }
}

/// Evidence that may come another time.
pub(super) fn not_now(message: impl Into<String>) -> ProbeFailure {
    ProbeFailure::passing(message)
}
