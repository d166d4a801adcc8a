//! How the index fails.
//!
//! Law: a full disk, and files that another process has locked, are distinguished from damage.

use crate::error::ReadError;
use everfold_system::os_error::is_disk_full;

/// The index failed, or panicked, which is its way of failing on damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct IndexError {
    what: String,
    cause: ErrorCause,
}

/// Causes that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorCause {
    /// The disk had no room for what it wanted to write.
    Full,
    /// Another process has its files locked: they are no damage.
    InUse,
    Other,
}

impl IndexError {
    /// A failure for any cause but a full disk.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: ErrorCause::Other }
    }

    /// The same failure, with what was to be done.
    pub(crate) fn about(self, what: &str) -> Self {
        Self { what: format!("{what}: {}", self.what), ..self }
    }

    /// Whether the disk has no room, which says nothing of the index.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.cause, ErrorCause::Full)
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        let cause = if is_disk_full(&error) { ErrorCause::Full } else { ErrorCause::Other };
        Self { what: error.to_string(), cause }
    }
}

impl From<::sled::Error> for IndexError {
    fn from(error: ::sled::Error) -> Self {
        let cause = match &error {
            ::sled::Error::Io(cause) if is_disk_full(cause) => ErrorCause::Full,
            error if is_locked(error) => ErrorCause::InUse,
            _ => ErrorCause::Other,
        };
        Self { what: error.to_string(), cause }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error.cause {
            ErrorCause::Full => Self::Full,
            ErrorCause::InUse => Self::IndexInUse(error.what),
            ErrorCause::Other => Self::Index(error.what),
        }
    }
}

/// Whether sled did not get the lock of its files. It says so in words alone.
pub(super) fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock"))
}
