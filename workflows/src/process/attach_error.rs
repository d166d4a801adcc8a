//! Why an attempt folder did not come to its end, and what follows for the attempt.

use std::path::PathBuf;

use crate::shim::protocol::PROTOCOL;
use everfold_system::os_error::is_shortage;

/// Why a folder did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    #[error("could not write {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the supervisor {program} could not be started")]
    Spawn {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the supervisor could not begin: {0}")]
    Unable(String),
    #[error("the supervisor could not begin yet: {0}")]
    NoRoom(String),
    #[error("{path} cannot be looked at")]
    Look {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is unreadable: {reason}")]
    Record { path: PathBuf, reason: String },
    #[error("{path} was written by a newer Everfold (protocol {number}, this one knows {PROTOCOL})")]
    Newer { path: PathBuf, number: u64 },
}

/// What an error says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Nothing: the system has too little of something at this moment.
    NotNow,
    /// Nothing: it may have ended, or live on, and that cannot be seen.
    Unknown,
    /// Its command has not begun, and does not.
    NotBegun,
}

impl AttachError {
    /// What follows for the attempt. Only where [`Says::NotBegun`] it may be given up: anything else could
    /// start a second one beside it.
    pub(crate) fn says(&self) -> Says {
        match self {
            Self::Io { source, .. } | Self::Spawn { source, .. } | Self::Look { source, .. }
                if is_shortage(source) =>
            {
                Says::NotNow
            }
            Self::NoRoom(_) => Says::NotNow,
            Self::Look { .. } | Self::Record { .. } | Self::Newer { .. } => Says::Unknown,
            Self::Io { .. } | Self::Spawn { .. } | Self::Unable(_) => Says::NotBegun,
        }
    }

    /// With its causes, in one line.
    pub(crate) fn explained(&self) -> String {
        let mut message = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        message
    }
}
