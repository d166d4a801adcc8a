//! How the storage of read models fails.

use std::io;

use everfold_store::is_shortage;

/// The storage of the read models could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the read models' files: {what}")]
pub struct StorageError {
    what: String,
    is_passing: bool,
}

impl StorageError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_passing: false }
    }

    /// Whether the files are as they should be, and only cannot be used now: another process has them locked, or the
    /// system lacks room, memory or file handles.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_passing
    }
}

impl From<sled::Error> for StorageError {
    fn from(error: sled::Error) -> Self {
        let is_passing = matches!(&error, sled::Error::Io(cause) if is_shortage(cause)) || is_locked(&error);
        Self { what: error.to_string(), is_passing }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        Self { what: error.to_string(), is_passing: is_shortage(&error) }
    }
}

/// Whether sled did not get the lock of its files. It says so in words alone.
pub(super) fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock"))
}
