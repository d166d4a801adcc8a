//! Why a call of git gave nothing.

use std::path::PathBuf;
use std::time::Duration;

use everfold_system::os_error::is_shortage;

/// Long enough to check out a large repository on a slow disk.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(600);

pub(super) const OUTPUT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why a call of git gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The program is not there.
    #[error("the program git is not installed, or not in PATH")]
    Missing,
    /// The call could not be made.
    #[error("git could not be run")]
    Io(#[source] std::io::Error),
    /// It took too long.
    #[error("git {command} took longer than {} s", TIME_LIMIT.as_secs())]
    TimedOut {
        /// The subcommand.
        command: String,
    },
    /// Its output is over the limit.
    #[error("git {command} printed more than {} MiB", OUTPUT_BYTES_MAX / 1024 / 1024)]
    TooMuch {
        /// The subcommand.
        command: String,
    },
    /// The disk has no room for what it writes.
    #[error("git {command} found no room on the disk: {message}")]
    NoRoom {
        /// The subcommand.
        command: String,
        /// Its message, in one line.
        message: String,
    },
    /// It failed.
    #[error("git {command} failed: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// Its message, in one line.
        message: String,
        /// Its exit code; `None`: a signal ended it.
        status: Option<i32>,
    },
    /// The folder is not, or is no longer, the worktree that was made for the run.
    #[error("the worktree {} is not what was made for the run: {reason}", worktree.display())]
    Gone {
        /// Where it should be.
        worktree: PathBuf,
        /// Whose worktree it should be.
        repository: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl GitError {
    /// Whether waiting for room on the disk helps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io(error) => is_shortage(error),
            Self::Missing
            | Self::TimedOut { .. }
            | Self::TooMuch { .. }
            | Self::Failed { .. }
            | Self::Gone { .. } => false,
        }
    }
}
