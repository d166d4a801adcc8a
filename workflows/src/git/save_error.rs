//! Why what an attempt left could not be saved.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};

use super::error::GitError;
use super::repository::unable;

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    /// Git could not.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The worktree is in a state of which nothing can be saved, or the push was refused.
    #[error("{}", .0.message)]
    Refused(Box<Failure>),
    /// It took too long.
    #[error("saving took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl SaveError {
    /// Whether waiting for room on the disk helps.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Git(error) if error.is_full())
    }

    /// The failure of an attempt whose work could not be saved.
    pub(crate) fn failure(&self) -> Failure {
        let message = format!("the worktree could not be saved: {self}");
        match self {
            Self::Refused(refused) => Failure { message, ..(**refused).clone() },
            Self::Git(error @ GitError::Gone { .. }) => unable(error),
            Self::Git(_) | Self::TimedOut(_) => {
                let mut failure = Failure::new(FailureKind::Error, message);
                failure.code = Some("save".to_owned());
                failure
            }
        }
    }
}
