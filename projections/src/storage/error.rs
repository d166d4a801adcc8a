//! How the storage of read models fails.

use std::io;

use everfold_store::is_shortage;
use everfold_store::sled_error::{is_locked, message};

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
        Self { what: message(&error), is_passing }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        Self { what: error.to_string(), is_passing: is_shortage(&error) }
    }
}
