//! Why what an attempt left could not be saved.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};

use super::error::GitError;
use super::repository::WORKTREE_GONE;

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
            // The work was done: it is no failure of the start, after which it would be done again.
            Self::Git(GitError::Gone { repository, .. }) => {
                let mut failure = Failure::new(FailureKind::Error, message).with_hint(format!(
                    "the work ran to its end, and what it left is not saved: look at what it does to its worktree; \
                     `git -C '{}' worktree repair` puts a missing .git back",
                    repository.display()
                ));
                failure.code = Some(WORKTREE_GONE.to_owned());
                failure
            }
            Self::Git(_) | Self::TimedOut(_) => {
                let mut failure = Failure::new(FailureKind::Error, message);
                failure.code = Some("save".to_owned());
                failure
            }
        }
    }
}
