//! How the index fails.
//!
//! Law: a full disk, and files that another process has locked, are distinguished from damage.

use crate::error::ReadError;
use crate::sled_error::{is_locked, message};
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
    /// The operating system failed, with this number.
    System(i32),
    Other,
}

impl ErrorCause {
    fn of(error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            _ if is_disk_full(error) => Self::Full,
            Some(number) => Self::System(number),
            None => Self::Other,
        }
    }
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

    /// The failure of the operating system, where it was one: a full disk, or any other, which says nothing of the index.
    pub(crate) fn of_system(&self) -> Option<std::io::Error> {
        match self.cause {
            ErrorCause::Full => Some(std::io::ErrorKind::StorageFull.into()),
            ErrorCause::System(number) => Some(std::io::Error::from_raw_os_error(number)),
            ErrorCause::InUse | ErrorCause::Other => None,
        }
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        Self { what: error.to_string(), cause: ErrorCause::of(&error) }
    }
}

impl From<::sled::Error> for IndexError {
    fn from(error: ::sled::Error) -> Self {
        let cause = match &error {
            error if is_locked(error) => ErrorCause::InUse,
            ::sled::Error::Io(cause) => ErrorCause::of(cause),
            _ => ErrorCause::Other,
        };
        Self { what: message(&error), cause }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error.cause {
            ErrorCause::Full => Self::Full,
            ErrorCause::InUse => Self::IndexInUse(error.what),
            ErrorCause::System(_) | ErrorCause::Other => Self::Index(error.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_disk_says_nothing_of_the_index_and_damage_does() {
        let io = |number| IndexError::from(::sled::Error::Io(std::io::Error::from_raw_os_error(number)));
        assert_eq!(io(5).of_system().and_then(|error| error.raw_os_error()), Some(5));
        assert_eq!(io(28).of_system().map(|error| error.kind()), Some(std::io::ErrorKind::StorageFull));
        let damaged = ::sled::Error::Corruption { at: None, bt: () };
        let short = ::sled::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        for error in [damaged, short] {
            assert!(IndexError::from(error).of_system().is_none());
        }
    }
}
